"""From an episode to excerpts with scenes: by rules or by a paid model, each checked against the transcript."""
