"""The published tokenizer itself, where it is there: PyPI's `pycocoevalcap` brings the jar, Debian a Java to run it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

JAR = "stanford-corenlp-3.4.1.jar"
PUNCTUATION = frozenset({
    "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";",
})  # fmt: skip
BETWEEN = "x"
"""Stands between lines: the original looks over a line's end at the next."""


def folder() -> Path | None:
    """Where the jar lies: FABULA_PYCOCOEVALCAP, or the installed package."""
    named = os.environ.get("FABULA_PYCOCOEVALCAP")
    if named is None and (spec := find_spec("pycocoevalcap")) is not None and spec.submodule_search_locations:
        named = next(iter(spec.submodule_search_locations))
    path = Path(named) / "tokenizer" if named else None
    return path if path is not None and (path / JAR).is_file() else None


def absent() -> str | None:
    """Why it cannot run here; None where it can."""
    if shutil.which("java") is None:
        return "no Java here (Debian's default-jre-headless has one)"
    return None if folder() else "no pycocoevalcap here (pip install --no-deps pycocoevalcap)"


def original_tokens(lines: Sequence[str], scratch: Path) -> list[list[str]]:
    """The words of each line as the published wrapper leaves them."""
    file = scratch / "lines.txt"
    file.write_text("".join(f"{line}\n{BETWEEN}\n" for line in lines), encoding="utf-8", newline="")
    done = subprocess.run(
        ["java", "-Dfile.encoding=UTF-8", "-cp", JAR, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines",
         "-lowerCase", str(file)],
        cwd=folder(), capture_output=True, check=True,
    )  # fmt: skip
    tokenized = done.stdout.decode().split("\n")[: 2 * len(lines) : 2]
    return [[word for word in line.rstrip().split(" ") if word and word not in PUNCTUATION] for line in tokenized]
