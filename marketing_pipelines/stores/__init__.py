"""The stores: PostgreSQL and the event lake, their locks, intents, schema and files."""
