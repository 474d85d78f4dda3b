"""Removing what is no longer kept. Owns no tables; reads and deletes those of others."""
