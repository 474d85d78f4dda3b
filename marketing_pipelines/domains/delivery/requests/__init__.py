"""Requests of applications: messages to contacts and addresses, each request once per key."""
