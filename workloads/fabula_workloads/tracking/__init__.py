"""Figures of runs to the trackers that people have: MLflow, Weights & Biases, TensorBoard."""
