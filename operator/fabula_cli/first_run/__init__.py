"""`fabula doctor --first-run`: small pods of the installation's own making, and what they show of a cluster."""
