"""Published and own annotations of videos, as rows of one kind."""
