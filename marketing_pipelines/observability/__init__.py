"""What operators see of the machinery: alerts, health, metrics, logs."""
