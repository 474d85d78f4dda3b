"""Deals with the history of their stages, and opportunities of travel."""
