"""What Kubernetes refuses in the built-in kinds, one subject a file: each rule says where it applies and yields errors.

Objects come defaulted and with the types of their schema; a required field may be missing.
"""
