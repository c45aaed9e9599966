"""One module a stage: thin, since what it does is its recipe's business."""
