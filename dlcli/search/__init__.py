"""Searches: populations of trials on disk, who works on them, and what is decided about them."""
