"""Results and how pairs of them differ."""
