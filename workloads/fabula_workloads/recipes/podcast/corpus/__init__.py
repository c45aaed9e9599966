"""Transcripts as they are found: files, records, the order of turns, and grouping of more than fits memory."""
