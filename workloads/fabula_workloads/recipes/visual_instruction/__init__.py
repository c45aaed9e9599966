"""The recipe `visual-instruction`: a model that watches a video, and answers what it sees when it is time to."""
