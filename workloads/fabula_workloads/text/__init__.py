"""Text in any script: what its words are."""
