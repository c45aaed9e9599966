"""The model that is trained: its files, what of it is trained, its loss, and what one step of it costs."""
