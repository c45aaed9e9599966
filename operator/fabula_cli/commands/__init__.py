"""Commands about runs, one file each: what is read from the cluster apart from how it is told."""
