"""Backups of databases, lake and files at `MARKETING_BACKUP_URL`, and their restore."""
