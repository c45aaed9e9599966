"""Prices, quotas and how they are lent, GPU hours."""
