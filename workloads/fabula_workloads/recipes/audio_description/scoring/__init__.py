"""What narration is worth: sentences beside those that people spoke, names, order, and what a viewer can follow."""
