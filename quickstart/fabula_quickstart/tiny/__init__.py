"""Tiny models of real architectures with random weights, built on the spot where no weights can be fetched."""
