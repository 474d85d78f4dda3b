"""What keeps the other domains going: the sensor that turns marks into runs."""
