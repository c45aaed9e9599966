"""What a run leaves behind: committed checkpoints, the optimizer's state, whole models; and who may write them."""
