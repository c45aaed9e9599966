"""Conditions and events, and which change of a status is news."""
