"""The training libraries, loaded once on a node: torchrun's agent and each rank are copies of who loaded them."""
