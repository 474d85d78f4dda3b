"""The stores: PostgreSQL and the event lake, and the mechanisms that make writing to them safe."""
