"""One file for each metric, with its record as `METRIC`."""
