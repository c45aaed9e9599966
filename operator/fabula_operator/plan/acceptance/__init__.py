"""Whether a run can be carried out: its spec, its namespace's bounds, its memory."""
