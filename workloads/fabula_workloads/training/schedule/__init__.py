"""Plans of a run, pure: its steps, the order of its samples, and which of them share a sequence."""
