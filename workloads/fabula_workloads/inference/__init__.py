"""Asking a model: what is asked, seeded sampling, generation in batches, and the check that an adapter fits."""
