"""F-COREF behind the interface, where its package is installed; it needs an older transformers than Fabula's images."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fabula_workloads.recipes.audio_description.scoring.critic import Chains
from fabula_workloads.runtime.failures import ConfigInvalid

MODEL = "biu-nlp/f-coref"


class FastCoref:
    """Raises ConfigInvalid where the package is not installed."""

    def __init__(self, model: str = MODEL) -> None:
        try:
            library = import_module("fastcoref")
        except ImportError:
            raise ConfigInvalid(
                "audio-description/critic needs somebody who tells whom a sentence is about: a judge with the rubric "
                "critic, or fastcoref, which this environment lacks; install fastcoref 2.1.6 in one of its own, and "
                "run `fabula score` there over the report's published/<arm>/*_critic.csv"
            ) from None
        # Of spaCy only the words are wanted, whose rules need no trained pipeline.
        words = import_module("spacy").blank("en")
        self._model: Any = library.FCoref(model, nlp=words, enable_progress_bar=False)

    def chains(self, text: str) -> Chains:
        """Those of a text."""
        (mentions,) = self._model.predict(texts=[text])
        chains = mentions.get_clusters(as_strings=False)
        # What begins or ends within a word has no place in the text.
        return [[(int(span[0]), int(span[1])) for span in chain if span is not None] for chain in chains]
