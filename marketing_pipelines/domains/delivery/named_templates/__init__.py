"""Templates by name: those of an organization, the built-in ones, and what steps name with them."""
