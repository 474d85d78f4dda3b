"""The pages below `/admin`: rendered here, no scripts, nothing from elsewhere."""
