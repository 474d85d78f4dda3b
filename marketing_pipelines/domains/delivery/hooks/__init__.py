"""Webhooks of providers: signatures, the reading of their events, and what these change.

A module for each provider checks its signature and reads its elements; `verdicts` says what an
element means, as data; `recording` finds messages and writes everything down in one transaction.
"""
