"""Names of runs that Kubernetes allows are names that another run can refer to."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fabula_api.shared_spec import ArtifactSource


@pytest.mark.parametrize("name", ["stories", "stories.v2", "2026-11.stories.v2", "a" * 64, "a" * 253, "a.b-c.d"])
def test_a_run_may_be_named_so(name: str) -> None:
    assert ArtifactSource(ref=name).ref == name


@pytest.mark.parametrize("name", ["", "Stories", "stories_v2", ".stories", "stories-", "a" * 254, "a b"])
def test_and_no_other_way(name: str) -> None:
    with pytest.raises(ValidationError):
        ArtifactSource(ref=name)
