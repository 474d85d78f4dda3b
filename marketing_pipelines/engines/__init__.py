"""Engines turn lake files into aggregates: the same statement in every engine."""
