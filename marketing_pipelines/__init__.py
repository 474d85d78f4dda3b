"""The scheduled work behind a marketing and CRM platform, as one Dagster project."""
