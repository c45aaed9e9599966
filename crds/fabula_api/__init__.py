"""The contract of Fabula: pydantic models of the three kinds, of artifacts, and of what a worker is told and tells.

The CRD YAML, the API reference and every part's validation come from these models.
"""
