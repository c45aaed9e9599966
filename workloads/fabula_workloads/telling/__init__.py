"""A model that a person listens to, without a run: what `fabula tell` does."""
