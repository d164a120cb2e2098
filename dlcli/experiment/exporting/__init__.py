"""A run's model in a foreign format, checked against its source."""
