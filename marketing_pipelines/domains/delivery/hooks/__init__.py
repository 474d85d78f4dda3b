"""Webhooks of providers: signatures, the reading of their events, and their effects.

A module for each provider checks its signature and reads its elements; `verdicts` has the meaning
of each element, as data; `recording` finds messages and writes everything down in one transaction.
"""
