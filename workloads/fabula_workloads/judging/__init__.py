"""Judges: models that are shown answers blindly, and what may be concluded from what they say."""
