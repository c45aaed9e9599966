"""Metrics to the trackers that people have."""
