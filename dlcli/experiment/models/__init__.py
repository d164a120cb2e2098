"""Models of runs: what they are, how they lie in files, and how they answer."""
