"""The HTTP face: health, what operators see and do, tokens, the audit log, pages.

Whoever needs a job started from outside uses `launching`.
"""
