"""Destinations that organizations sell, with their web pages."""
