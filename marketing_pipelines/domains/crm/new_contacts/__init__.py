"""New contacts: the ones not announced yet, and the owners that they get in turn."""
