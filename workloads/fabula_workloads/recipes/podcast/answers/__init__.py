"""Answers as dialogues: how they are read, the rules of their format, and how a report shows them."""
