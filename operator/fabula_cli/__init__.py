"""The `fabula` command: a laptop's cluster with the operator in it, and the demonstration that runs on both."""
