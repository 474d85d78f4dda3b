"""Engines turn lake files into aggregates: the same statement, whichever engine runs it."""
