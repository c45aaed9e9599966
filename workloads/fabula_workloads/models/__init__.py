"""Loading of vision-language models and their processors: one definition for training and inference.

Two definitions would drift, and a model would be asked at another resolution than the one it was trained at.
"""
