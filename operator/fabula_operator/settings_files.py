"""What a setting's text names: files, prices, places. Each reader raises ValueError that says which part is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import yaml

from fabula_operator.plan.money.quota_groups import QuotaGroup, read_groups
from fabula_operator.render.worker_defaults import WorkerDefaults, read_defaults


def defaults_in(path: str) -> WorkerDefaults:
    """Those in a YAML file."""
    return read_defaults(Path(path))


def groups_in(path: str) -> tuple[QuotaGroup, ...]:
    """Quotas in a YAML file."""
    try:
        return read_groups(yaml.safe_load(Path(path).read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from error


def places(text: str) -> tuple[str, ...]:
    """`URI,...` one by one."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def prices(text: str) -> dict[str, float]:
    """`PRODUCT=PRICE,...` as a map."""
    dollars: dict[str, float] = {}
    for part in places(text):
        product, equals, price = part.partition("=")
        try:
            dollars[product.strip()] = float(price)
        except ValueError:
            equals = ""
        if not equals or not product.strip() or not 0 <= dollars[product.strip()] < math.inf:
            raise ValueError(f"{part!r} is not PRODUCT=DOLLARS")
    return dollars
