"""What developers try things on; on the clock in development only."""
