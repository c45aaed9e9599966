"""Picture sequences of an evaluation: readers of their layouts, the choice among them, and clean copies of photos."""
