"""What shards are told: parts of a quota that add up to it, dollars that never add up to more than the budget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.in_blocks import in_blocks
from tests.support.observations import NOW

from fabula_api.bills import StageBill
from fabula_api.quota import RequestQuota
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.worker import Allowance, StageReport
from fabula_operator.handlers.allowances import answer
from fabula_operator.handlers.reports import Reports
from fabula_operator.kube.cache import Cache
from fabula_operator.plan.money.quota import Claim, claim_of, grant, pool_of, stage_budget

PAID: dict[str, Any] = {
    "source": {"uri": "x", "licenseAccepted": True},
    "extraction": {"provider": "bedrock", "workers": 4, "quota": {"requestsPerMinute": 60, "tokensPerMinute": 8000}},
    "images": {"provider": "bedrock", "workers": 2, "quota": {"requestsPerMinute": 30}},
}


def spec(**changes: Any) -> PodcastBuildSpec:
    return PodcastBuildSpec.model_validate(in_blocks("DatasetBuild", {**PAID, **changes}))


def report(shard: int, **fields: Any) -> StageReport:
    return StageReport.model_validate({"stage": "extract", "shard": shard, "total": 10, **fields})


class TestShares:
    def test_a_build_alone_has_its_quota_for_its_shards(self) -> None:
        claim = claim_of("a", spec(), "extract", [])
        assert claim is not None
        pool = pool_of(claim, [claim])
        assert (pool.requests, pool.tokens, pool.shards) == (60, 8000, 4)

    def test_shards_that_ended_leave_their_part_to_the_others(self) -> None:
        over = [report(0, done=10), report(1, done=3, condition={"reason": "BudgetReached", "message": ""}), report(2)]
        claim = claim_of("a", spec(), "extract", over)
        assert claim is not None and pool_of(claim, [claim]).shards == 2

    def test_a_group_shares_one_quota_and_the_smallest_figure_counts(self) -> None:
        def grouped(uid: str, requests: int, workers: int) -> Claim:
            quota = {"requestsPerMinute": requests, "group": "team"}
            made = claim_of(
                uid, spec(extraction={"provider": "bedrock", "workers": workers, "quota": quota}), "extract", []
            )
            assert made is not None
            return made

        first, second = grouped("a", 60, 4), grouped("b", 48, 2)
        alone = claim_of("c", spec(), "extract", [])
        assert alone is not None
        for claim in (first, second):
            pool = pool_of(claim, [first, second, alone])
            assert (pool.requests, pool.shards) == (48, 6)
        assert pool_of(alone, [first, second, alone]).requests == 60

    def test_stages_of_two_names_that_pay_one_provider_for_one_model_share_their_group(self) -> None:
        quota, payer = RequestQuota(requests_per_minute=60, group="team"), ("default", "bedrock", "us-west-2", "m")
        extract, describe = (
            Claim(uid, stage, quota, 2, 1, payer) for uid, stage in (("a", "extract"), ("b", "describe"))
        )
        assert pool_of(extract, [extract, describe]).shards == 4

    def test_who_pays_nobody_claims_nothing(self) -> None:
        assert claim_of("a", spec(extraction={"provider": "rules"}), "extract", []) is None
        assert claim_of("a", spec(), "assemble", []) is None


class TestDollars:
    def test_pictures_may_take_what_extraction_left(self) -> None:
        asked = spec(budget={"usd": 100})
        assert stage_budget(asked, "extract", ()) == 25
        assert stage_budget(asked, "illustrate", [StageBill(stage="extract", cost_usd=12)]) == 88
        assert stage_budget(spec(budget={"usd": 100}, images={"provider": "none"}), "extract", ()) == 100
        assert stage_budget(spec(), "extract", ()) is None

    @given(
        total=st.floats(1, 1000),
        shards=st.integers(1, 6),
        moves=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1), st.booleans()), max_size=60),
        restart_at=st.integers(0, 60),
    )
    def test_grants_together_never_pass_the_budget(
        self, total: float, shards: int, moves: list[tuple[int, float, bool]], restart_at: int
    ) -> None:
        """Shards spend some of what they hold and report, in any order; some end; the operator restarts once."""
        spent = dict.fromkeys(range(shards), 0.0)
        holds = dict.fromkeys(range(shards), total / shards)
        heard: dict[int, float] = {}
        granted: dict[int, float] = {}
        over: set[int] = set()
        gone: set[int] = set()
        for number, (pick, part, end) in enumerate(moves):
            shard = pick % shards
            if number == restart_at:
                heard, granted, over = {}, {}, set()
            if shard in gone:
                continue
            spent[shard] += (holds[shard] - spent[shard]) * part
            heard[shard] = spent[shard]
            if end:
                over.add(shard)
                gone.add(shard)
                holds[shard] = spent[shard]
            granted[shard] = grant(total, heard, granted, over, shard, shards)
            if not end:
                holds[shard] = granted[shard]
            assert sum(holds.values()) <= total * (1 + 1e-9)
            assert all(holds[one] >= spent[one] * (1 - 1e-9) for one in holds)

    def test_what_an_ended_shard_left_goes_to_the_others(self) -> None:
        granted = {0: 5.0, 1: 5.0}
        assert grant(10, {0: 1.0, 1: 4.0}, granted, {0}, 1, 2) == pytest.approx(9)


class TestAnswers:
    def build(self, name: str, **changes: Any) -> dict[str, Any]:
        extraction = PAID["extraction"] | {"quota": {"requestsPerMinute": 60, "group": "team"}}
        return {
            "apiVersion": "fabula.dev/v1alpha1", "kind": "DatasetBuild",
            "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1"},
            "spec": in_blocks("DatasetBuild", {**PAID, "extraction": extraction, **changes}),
            "status": {"state": "Running", "stages": [{"name": "extract", "state": "Running"}]},
        }  # fmt: skip

    def test_shares_are_rebalanced_as_builds_come_and_go(self) -> None:
        cache, reports = Cache(), Reports()
        builds = {name: self.build(name) for name in ("one", "two")}
        lent: dict[str, Allowance] = {}

        def post(name: str, shard: int = 0) -> float | None:
            held = lent[name].lease if name in lent else None
            body = report(shard, quota=held and held.part_after(0))
            reports.put(f"uid-{name}", body, None, NOW)
            lent[name] = answer(cache, reports, builds[name], body, NOW)
            return lent[name].requests_per_minute

        cache.put(builds["one"])
        assert post("one") == 60
        cache.put(builds["two"])
        assert post("two") == 0, "the first build's shard still has all"
        assert post("one") == 30
        assert post("two") == 0, "which it has given up only when it says so"
        assert post("one") == 30
        assert post("two") == 30
        reports.forget("uid-two")
        assert post("one") == 60

    def test_dollars_go_with_the_answer(self) -> None:
        cache, reports = Cache(), Reports()
        build = self.build("one", budget={"usd": 80})
        cache.put(build)
        body = report(0, counts={"cost/usd": 1.5, "excerpt/ok": 11})
        reports.put("uid-one", body, "pod", NOW)
        told = answer(cache, reports, build, body, NOW)
        assert told.budget_usd == 5
        reports.forget("uid-one")
        assert reports.granted("uid-one", "extract") == {}

    @pytest.mark.parametrize("workers", [2, 3])
    def test_a_raised_budget_is_divided_anew_among_shards_that_had_ended_for_want_of_it(self, workers: int) -> None:
        """It is raised so soon after the end that the operator has not forgotten the reports of the former pods."""
        cache, reports = Cache(), Reports()
        extraction = PAID["extraction"] | {"workers": workers}
        build = self.build("one", budget={"usd": 12}, extraction=extraction)

        def posts(child: str, shard: int, **fields: Any) -> float | None:
            name, owner = f"{child}-{shard}", {"kind": "Job", "name": child, "uid": child, "controller": True}
            labels = {"fabula.dev/run-uid": "uid-one"}
            meta = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1", "labels": labels}
            cache.put({"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "ownerReferences": [owner]}})
            body = report(shard, **fields)
            reports.put("uid-one", body, name, NOW)
            return answer(cache, reports, build, body, NOW, name).budget_usd

        cache.put(build)
        spent = dict.fromkeys(range(workers), 3 / workers - 0.01)
        for shard, usd in spent.items():
            posts("job-1", shard)
            posts("job-1", shard, counts={"cost/usd": usd}, condition={"reason": "BudgetReached", "message": ""})
        build["spec"] = build["spec"] | {"budget": {"usd": 400}}
        granted = {shard: posts("job-2", shard, counts={"cost/usd": usd}) for shard, usd in spent.items()}
        assert granted == {shard: pytest.approx(100 / workers, abs=0.1) for shard in spent}

    def test_an_unreadable_spec_bounds_nothing(self) -> None:
        broken = self.build("one", source={})
        assert answer(Cache(), Reports(), broken, report(0), NOW).requests_per_minute is None
