"""What runs in the operator's process: watches, the work queue, the reconcile loop, the status server, metrics."""
