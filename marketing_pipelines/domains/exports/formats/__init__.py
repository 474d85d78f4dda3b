"""The formats of files: each writes the rows of a snapshot into an open file, as they come."""
