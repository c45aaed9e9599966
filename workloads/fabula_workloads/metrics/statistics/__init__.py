"""What follows from figures, as pure functions: is a difference there, how large, how many samples show it."""
