"""Picture sequences that are asked about: readers of their layouts, the choice among them, clean copies of photos."""
