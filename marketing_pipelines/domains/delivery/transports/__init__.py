"""Transports: each hands one message to one server and returns the outcome.

A transport knows nothing of the database. A server's answer becomes one of the outcomes of
`outcomes.py`; `sending` applies each of them to the message and its line.
"""
