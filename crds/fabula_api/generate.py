"""Writes every file that is generated from the models, or, with --check, says which would change."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from fabula_api.admission import installation
from fabula_api.crd import crds
from fabula_api.metrics import METRICS
from fabula_api.metrics.page import page
from fabula_api.recipes import RecipesBroken, broken
from fabula_api.reference import reference

_HEADER = "# Generated from crds/fabula_api by `make generate`. Do not edit.\n"


def outputs() -> dict[str, str]:
    """Path below the repository's root, and content, of each generated file. Raises RecipesBroken where a recipe is
    installed that cannot be used: runs of it would lose their block without a word."""
    if problems := "; ".join(broken().values()):
        raise RecipesBroken(problems)
    files = {
        f"crds/{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml": _HEADER
        + yaml.safe_dump(crd, sort_keys=False, width=120)
        for crd in crds()
    }
    files["crds/admission-policy.yaml"] = _HEADER + "---\n".join(
        yaml.safe_dump(document, sort_keys=False, width=120) for document in installation()
    )
    files["docs/api-reference.md"] = reference()
    files["docs/metrics.md"] = page(METRICS)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Entry of `python -m fabula_api.generate`."""
    try:
        files = outputs()
    except RecipesBroken as error:
        print(error, file=sys.stderr)
        return 1
    return write_or_check(files, "fabula_api.generate", __doc__, arguments)


def write_or_check(files: Mapping[str, str], program: str, about: str | None, arguments: list[str] | None) -> int:
    """Write files below the repository's root, or with --check tell which differ; the exit code."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    options = parser.parse_args(arguments)
    stale = []
    for path, content in files.items():
        target = options.root / path
        if target.exists() and target.read_text() == content:
            continue
        stale.append(path)
        if not options.check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
    if options.check and stale:
        print("not up to date with the models: " + ", ".join(stale) + "\nrun `make generate`", file=sys.stderr)
        return 1
    for path in stale:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
