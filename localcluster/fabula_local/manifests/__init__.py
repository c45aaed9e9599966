"""Manifests that the laptop cluster brings along."""
