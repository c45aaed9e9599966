"""One process of a run: it trains, with Hugging Face's Trainer."""
