"""Journeys: programs that contacts enter by a trigger.

Owns the schema `journey`. The step engine moves their executions; applications read them.
"""
