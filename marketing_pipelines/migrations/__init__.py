"""Alembic migrations: the changes of a deployed database, release by release."""
