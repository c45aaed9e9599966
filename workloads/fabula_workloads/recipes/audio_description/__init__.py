"""The work of the recipe `audio-description`."""
