"""Owns segments: rules, the statements they become, and who is a member since when. Campaigns and
journeys branch on memberships; analysts read how segments grow, shrink and overlap."""
