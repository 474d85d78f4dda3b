"""Messages: each one row, which is the intent to send and the place in the queue at once.

Owns the schema `delivery`. Programs write messages; applications and analysts read how they ended.
"""
