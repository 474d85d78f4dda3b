"""Webhooks out: events of an organization sent to the endpoints that it names, signed."""
