"""Observation of the machinery: alerts, health, metrics, logs."""
