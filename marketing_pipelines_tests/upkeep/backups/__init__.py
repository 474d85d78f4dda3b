"""Tests of `domains.upkeep.backups`."""
