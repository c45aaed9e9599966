"""The podcast recipe: picture sequences in, dialogues of several speakers out."""
