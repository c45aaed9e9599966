"""The laptop's cluster with a recipe's tiny example: objects go in through kubectl; what was made is read from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from tests.e2e.conftest import ROOT, Product
from tests.support.patience import until
from tests.support.training_kills import MANIFEST


class Room:
    """A running product, and the folder of its artifacts."""

    def __init__(self, product: Product, folder: Path) -> None:
        self.product, self._folder = product, folder
        self.root = Path(unquote(urlsplit(product.parts()["artifactRoot"]).path))

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> None:
        file = self._folder / "applied.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        self.product.kubectl("apply", "-n", namespace, "-f", str(file))

    def finished(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """The status of a run once it has succeeded."""
        wait = ("wait", "-n", namespace, f"{kind}/{name}", "--for=condition=Finished", "--timeout=100s")
        until(lambda: "condition met" in self.product.kubectl(*wait, check=False), f"{kind}/{name} finished")
        status = dict(self.product.get("-n", namespace, kind, name)["status"])
        assert status["state"] == "Succeeded", json.dumps(status.get("failure"), indent=1)
        return status

    def parts(self, status: dict[str, Any]) -> dict[str, bytes]:
        """Contents of what a training made, by path."""
        folder = Path(unquote(urlsplit(status["adapter"]["uri"]).path))
        manifest = json.loads((folder / MANIFEST).read_text())
        return {part["path"]: (folder / part["path"]).read_bytes() for part in manifest["parts"]}


@contextmanager
def opened(folder: Path, libraries: Path, example: str) -> Iterator[Room]:
    """A room with the data and models of an example."""
    from fabula_quickstart.prepare import prepare_uri

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FABULA_RETRY_BACKOFF", "0.01")
        product = Product(folder / "home", None, "default", libraries)
        try:
            code, output = product.fabula("up")
            assert code == 0, output
            room = Room(product, folder)
            assert prepare_uri(f"file://{room.root}", example) == 0
            yield room
        finally:
            product.fabula("down")


def example(recipe: str, kind: str) -> list[dict[str, Any]]:
    """The objects of one of a tiny example's files."""
    return list(yaml.safe_load_all((ROOT / "examples" / recipe / "tiny" / f"{kind}.yaml").read_text()))
