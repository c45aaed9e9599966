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
                "audio-description/critic needs fastcoref, which this image lacks; install fastcoref 2.1.6 in an "
                "environment of its own, and run `fabula score` there"
            ) from None
        self._model: Any = library.FCoref(model)

    def chains(self, text: str) -> Chains:
        """Those of a text."""
        (found,) = self._model.predict(texts=[text])
        return [[(int(start), int(end)) for start, end in chain] for chain in found.get_clusters(as_strings=False)]
