"""The dataset that is made: which rows are in it, and what its card and sheet say."""
