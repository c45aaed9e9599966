"""How an evaluation's samples are found in the published benchmarks' own files, with their videos cut to pictures."""
