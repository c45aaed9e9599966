"""The examples that need an account are held to what the operator accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.observations import observed

from fabula_api.pricing import price_of
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_operator.plan.acceptance.refusal import Accepted
from fabula_operator.plan.lifecycle.accept import accept

ROOT = Path(__file__).parents[3]
PAID = [
    pytest.param(document, id=f"{path.parent.name}-{document['metadata']['name']}")
    for path in sorted((ROOT / "examples").glob("*/dataset.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("document", PAID)
def test_a_dataset_example_is_accepted_as_it_is(document: dict[str, Any]) -> None:
    seen = observed("DatasetBuild")
    accepted = accept(replace(seen, run=replace(seen.run, spec=document["spec"])))
    assert isinstance(accepted, Accepted), accepted


def test_the_published_build_fits_its_budget_at_list_prices() -> None:
    spec = PodcastBuildSpec.model_validate(yaml.safe_load((ROOT / "examples/podcast/dataset.yaml").read_text())["spec"])
    picture = price_of(spec.podcast.images.bedrock_model)
    assert picture is not None and price_of(spec.podcast.extraction.model) is not None
    assert spec.target.samples is not None and spec.budget.usd is not None
    pictures = 1.1 * spec.target.samples * spec.podcast.images.per_sample * picture.per_image
    extraction = spec.extraction_usd
    assert extraction is not None and pictures + extraction < spec.budget.usd * 1.01
