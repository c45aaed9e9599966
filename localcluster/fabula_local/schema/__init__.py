"""What the laptop cluster's API knows about objects without touching storage or the network.

Pure functions on plain dicts: structural schemas, CEL rules, patches, server-side apply, tables and OpenAPI documents.
"""
