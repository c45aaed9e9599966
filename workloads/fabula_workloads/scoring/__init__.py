"""Answers that lie in folders already, measured and compared without a run: what `fabula score` and `compare` do."""
