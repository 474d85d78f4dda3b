"""What keeps the installation small: history that nobody needs any more is removed."""
