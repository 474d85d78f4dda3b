"""A domain for tests: its tasks write down when they are called, and end as their payload says."""
