"""What is measured of those that watched, and what a report shows of it."""
