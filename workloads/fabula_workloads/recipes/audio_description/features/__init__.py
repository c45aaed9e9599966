"""Features of clips and characters: out of banks, into shards that training reads."""
