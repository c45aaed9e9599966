"""What to do next for a run, and what to say on it: pure functions of what was observed and of the time."""
