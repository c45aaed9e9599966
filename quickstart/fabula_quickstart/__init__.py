"""What the quickstart is made of: written episodes, drawn picture sequences, and tiny models with random weights."""
