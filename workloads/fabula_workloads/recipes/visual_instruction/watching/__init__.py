"""Clips as they are watched: position by position by a watcher, or by asking a model again and again."""
