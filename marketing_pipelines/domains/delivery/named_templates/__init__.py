"""Templates by name: those of an organization, the built-in ones, and their fields in steps."""
