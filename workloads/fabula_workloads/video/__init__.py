"""Films and videos as recipes read them: pictures at asked moments, sound in seconds, and a word for what is wrong."""
