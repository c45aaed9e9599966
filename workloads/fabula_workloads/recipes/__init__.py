"""One folder a recipe: everything that only one system needs."""
