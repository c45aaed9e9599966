"""Drawing of scenes: what a painter is, the painters there are, and the check that what they drew is a picture."""
