"""A target through operator, Jobs and workers: so many samples, pictures for them alone, and more when it is raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_operator_bedrock import BUILD, Bench, cluster, spec
from tests.support.bedrock import run_bedrock
from tests.support.control_plane import ControlPlane

__all__ = ["cluster"]  # the fixture


async def test_a_target_is_met_to_the_picture_and_can_be_raised(cluster: ControlPlane, tmp_path: Path) -> None:
    with run_bedrock() as bedrock:
        bench = await Bench.make(cluster, tmp_path, bedrock)
        asked = spec(bedrock.endpoint)
        asked["extraction"] |= {"maxExcerpts": 2, "words": {"min": 80, "max": 160}}
        asked["images"] |= {"perSample": 2}
        await bench.apply({**asked, "target": {"samples": 5}})
        with bench.operator:
            status = await bench.ended()
            assert status["samples"] == 5 and status["figures"]["samplesWith2Pictures"] == 5
            assert sum(charge.images for charge in bedrock.bill.paid) == 10
            texts = sum(charge.images == 0 for charge in bedrock.bill.paid)
            assert texts < 10, "not every episode was asked about"
            told = next(one["message"] for one in status["conditions"] if one["type"] == "Succeeded")
            assert "TargetReached" in told
            await bench.api.patch(BUILD, "default", "data", {"spec": {"target": {"samples": 8}}})
            status = await bench.ended()
            bench.operator.stop()
        assert status["samples"] == 8 and sum(charge.images for charge in bedrock.bill.paid) == 16
        assert bedrock.bill.paid_twice() == {}
        assert status["costUsd"] == pytest.approx(bedrock.bill.usd, abs=1e-3)
        await bench.api.close()
