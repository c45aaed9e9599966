"""The watcher: a model with two aligned streams, and a head that decides when to speak."""
