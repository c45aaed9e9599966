"""The process node: runs a pod's containers as local processes, for any API server."""
