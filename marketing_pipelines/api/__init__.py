"""The HTTP API: health, pages and addresses for operators, tokens, the audit log.

Code that starts a job from outside uses `launching`.
"""
