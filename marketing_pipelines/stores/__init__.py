"""The stores: PostgreSQL, the event lake, files; and the mechanisms that make writing to them safe."""
