"""Quotas between tenants: nobody lowers another namespace's rate, nobody is believed to hold what was not lent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.observations import NOW

from fabula_api.worker import QuotaPart, StageReport
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.money.lending import ENDS_SECONDS
from fabula_operator.plan.money.quota_groups import QuotaGroup, read_groups
from fabula_operator.settings import read

WHOLE = QuotaPart(share=1, fallback_share=1)
SHARED = {
    "name": "claude", "account": "1234", "region": "us-west-2", "models": ["m"], "namespaces": ["honest", "other"],
    "requestsPerMinute": 4000,
}  # fmt: skip


class Bench:
    """Builds of several namespaces that name the same group, and what their shards are told."""

    def __init__(self, *groups: QuotaGroup) -> None:
        self.cache, self.reports, self.groups, self.now = Cache(), Reports(), groups, NOW
        self.builds: dict[str, dict[str, Any]] = {}

    def build(self, name: str, namespace: str, requests: int, **extraction: Any) -> None:
        quota = {"requestsPerMinute": requests, "group": "claude"}
        extraction = {"provider": "bedrock", "model": "m", "quota": quota, "workers": 4, **extraction}
        self.builds[name] = {
            "kind": "DatasetBuild",
            "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
            "spec": {"podcast": {"source": {"uri": "x", "licenseAccepted": True}, "extraction": extraction}},
            "status": {"state": "Running", "stages": [{"name": "extract", "state": "Running"}]},
        }
        self.cache.put(self.builds[name])

    def post(self, name: str, held: QuotaPart | None = None, shard: int = 0) -> float:
        body = StageReport(stage="extract", shard=shard, total=99, quota=held)
        self.reports.put(name, body, None, self.now)
        told = answer(self.cache, self.reports, self.builds[name], body, self.now, groups=self.groups)
        return told.requests_per_minute or 0.0


def test_a_figure_of_another_namespace_changes_nothing() -> None:
    bench = Bench()
    bench.build("honest", "honest", 4000)
    bench.build("mean", "mean", 1)
    assert (bench.post("mean"), bench.post("honest")) == (1, 4000)


@pytest.mark.parametrize("other", [{"region": "eu-west-1"}, {"model": "n"}])
def test_what_is_not_one_quota_is_never_one_pool(other: dict[str, Any]) -> None:
    bench = Bench()
    bench.build("one", "team", 100)
    bench.build("two", "team", 50, **other)
    assert (bench.post("one"), bench.post("two")) == (100, 50)


def test_a_declared_group_is_shared_by_those_it_names_at_its_own_figure() -> None:
    bench = Bench(QuotaGroup.model_validate(SHARED))
    bench.build("one", "honest", 9)
    bench.build("two", "other", 1)
    bench.build("three", "mean", 7)
    bench.build("four", "other", 5, region="eu-west-1")
    assert bench.post("one") == 4000
    assert bench.post("two") == 0, "one still has all"
    assert bench.post("one", WHOLE) == 2000
    assert bench.post("three") == 7
    assert bench.post("four") == 5


def test_a_shard_is_never_believed_to_hold_more_than_it_was_lent() -> None:
    bench = Bench()
    bench.build("one", "team", 100)
    bench.reports.answering_since(NOW - timedelta(seconds=2 * ENDS_SECONDS))
    assert bench.post("one", WHOLE) == 100
    assert bench.post("one", QuotaPart(share=1, fallback_share=0.25)) == 100
    assert bench.post("one", shard=1) == 0
    assert bench.post("one", WHOLE) == 50
    half = QuotaPart(share=0.5, fallback_share=0.25)
    assert bench.post("one", half) == 50
    assert bench.post("one", shard=1) == 50
    # From now on it says what it does not have, and nobody has less for it.
    assert bench.post("one", WHOLE) == 50
    assert bench.post("one", half, shard=1) == 50


def test_groups_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needed = ["--artifact-root", "file:///a", "--status-url", "https://x", "--tls-cert", "c", "--tls-key", "k"]
    file = tmp_path / "groups.yaml"
    file.write_text(yaml.safe_dump([SHARED]))
    (group,) = read([*needed, "--quota-groups", str(file)], {}).quota_groups
    assert (group.name, group.requests_per_minute) == ("claude", 4000)
    for wrong in ([SHARED, SHARED], [{**SHARED, "region": 3}], {"a": 1}):
        file.write_text(yaml.safe_dump(wrong))
        with pytest.raises(SystemExit):
            read([*needed, "--quota-groups", str(file)], {})
    assert "--quota-groups" in capsys.readouterr().err
    assert read_groups(None) == ()
