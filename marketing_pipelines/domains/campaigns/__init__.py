"""Campaigns and who is in them.

Owns the schema `campaigns`. Analytics reads the status timestamps and the enrolments.
"""
