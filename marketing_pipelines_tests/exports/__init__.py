"""Tests of the domain `exports`."""
