"""Lifecycle stages: the rules by which contacts move, and the moves that were made."""
