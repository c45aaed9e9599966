"""Published annotations as rows of one kind, with everything that cannot be used told by row."""
