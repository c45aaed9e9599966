"""Bodies as clients really send them."""

import pytest

from fabula_local.apiserver.codec import decode


@pytest.mark.parametrize("media_type", ["application/apply-patch+yaml", "application/yaml"])
def test_yaml_is_read_as_go_reads_it(media_type: str) -> None:
    body = b'{"rate": 4e-06, "big": 1e5, "text": "4e-06", "day": 2026-01-01, "half": 1.5, "three": 3}'
    assert decode(body, media_type) == {
        "rate": 4e-06,
        "big": 1e5,
        "text": "4e-06",
        "day": "2026-01-01",
        "half": 1.5,
        "three": 3,
    }
