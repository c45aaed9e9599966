"""Fine-tuning: what the launcher plans and watches (no torch), and what each rank runs. A room for each subject:

launcher   starts the ranks, watches them, commits what they made
preloaded  loads the libraries once for all processes of a node
rank       one process of the run: Trainer and its step boundaries
libraries  what is touched of libraries behind their interface
messages   what the two tell each other
model      what is trained, its loss, its cost
samples    from the dataset to batches
saving     checkpoints, optimizer state, whole models
schedule   steps, order and packing, pure
tracked    what MLflow and the like are told of a training
"""
