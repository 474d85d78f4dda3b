"""The declaration of jobs: assets, their schedules, their metadata, and the resources they use."""
