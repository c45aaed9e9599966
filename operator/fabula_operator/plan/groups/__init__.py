"""Ranks that live and die together: attempts, what ended them, restarts and stops."""
