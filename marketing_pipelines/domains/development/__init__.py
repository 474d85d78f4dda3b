"""A sample job for developers; its schedule is on in development only."""
