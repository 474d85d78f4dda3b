"""Consent: categories of messages, subscriptions with their history, and the ways out of both."""
