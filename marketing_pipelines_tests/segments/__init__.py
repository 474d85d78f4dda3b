"""Segment rules: what they mean, read from the specification alone, and worlds to try them on."""
