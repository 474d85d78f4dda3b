"""What keeps the other domains going: marks become runs, failures alerts, and health is kept."""
