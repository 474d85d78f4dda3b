"""Marketing events and everything counted from them.

Owns the schema `analytics`, the event lake and `warehouse.duckdb`. Every domain writes events
through `events.insert_events`; analysts read the aggregates.
"""
