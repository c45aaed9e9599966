"""What training holds at once, which the worker keeps to and the preflight counts with."""

LIVE_PARAMETERS = 1_000_000_000
"""Parameters that ZeRO-3 keeps gathered at once (`stage3_max_live_parameters`); of one module, all at least."""
LOGITS_AT_ONCE = 2**27
"""Logits that are computed at a time where the output matrix is frozen: half a GB in fp32, and rows enough for a
product that keeps a GPU busy."""
