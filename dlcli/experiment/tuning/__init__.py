"""A search over recipes: its trials, its close and its final model."""
