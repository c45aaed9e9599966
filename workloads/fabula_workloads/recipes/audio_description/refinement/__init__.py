"""Who of those that may be seen is named: a small model of clips and exemplars, learned from a dataset itself."""
