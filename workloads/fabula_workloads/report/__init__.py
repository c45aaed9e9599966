"""The report of an evaluation: one HTML page that needs nothing else, the same as JSON, and the published tables."""
