"""Which scenes are drawn, by whom, and what becomes of each picture."""
