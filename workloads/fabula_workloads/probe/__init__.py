"""Tries, inside a pod, what runs rely on: the store, the status server, the cache of models, a GPU, Bedrock."""
