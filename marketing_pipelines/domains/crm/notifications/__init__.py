"""Notifications of users: written by jobs, each once, and read by applications."""
