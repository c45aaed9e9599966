"""The narrator: a language model that is told of clips and characters by vectors among its words."""
