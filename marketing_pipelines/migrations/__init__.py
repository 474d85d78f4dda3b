"""Alembic migrations: what a deployed database goes through, release by release."""
