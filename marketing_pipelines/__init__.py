"""The scheduled work behind a marketing and CRM platform, as one Dagster project."""

import zoneinfo

# Zones are those of the pinned package `tzdata`, never the operating system's.
zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()
