"""What every program that speaks to a Kubernetes API needs: credentials, calls, errors, names of kinds, a work queue.

It knows nothing of Fabula's kinds; the operator, the command and the laptop's cluster stand on it.
"""
