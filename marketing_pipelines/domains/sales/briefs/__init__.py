"""Briefs of meetings: the facts of a meeting, and the four writers that put them into sentences."""
