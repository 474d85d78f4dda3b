"""Transports: each hands one message to one server and says how it ended.

A transport knows nothing of the database. What a server answers becomes one of the outcomes of
`outcomes.py`; `sending` writes down what each of them means for the message and for its line.
"""
