"""Pictures as people have them, and the one way to open them: training and inference must see the same pixels."""
