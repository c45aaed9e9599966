"""From a dataset artifact to batches: strict reading, encoding, collating, and what was counted on the way."""
