"""Step arithmetic against the reference run's figures, and the order of samples over any number of ranks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabula_api.fine_tune_run import FineTuneRunSpec
from fabula_workloads.training.schedule.order import Coverage, RankBatches, epoch_order, rank_batches
from fabula_workloads.training.schedule.steps import plan_steps

pytestmark = pytest.mark.invariant


def spec(**changes: dict[str, object]) -> FineTuneRunSpec:
    wire: dict[str, object] = {"dataset": {"uri": "d"}, "model": {"name": "m"}}
    return FineTuneRunSpec.model_validate(wire | changes)


def test_the_published_run() -> None:
    plan = plan_steps(spec(), 4004)
    assert (plan.world_size, plan.batches, plan.updates, plan.steps) == (8, 501, 126, 126)
    assert plan.warmup_steps == 13
    assert plan.checkpoint_steps == (62, 124, 126)
    assert plan.padding == 4


@pytest.mark.parametrize(
    ("samples", "accumulation", "epochs", "steps"),
    [(894, 4, 1, 28), (894, 2, 1, 56), (3737, 4, 1, 117), (894, 2, 5, 280), (894, 2, 3, 168)],
)
def test_other_runs_of_the_reference(samples: int, accumulation: int, epochs: int, steps: int) -> None:
    plan = plan_steps(spec(training={"gradientAccumulationSteps": accumulation, "epochs": epochs}), samples)
    assert plan.steps == steps


def test_max_steps_takes_the_place_of_epochs() -> None:
    plan = plan_steps(spec(training={"maxSteps": 7, "epochs": 3}, checkpoints={"everySteps": 3}), 1000)
    assert (plan.steps, plan.checkpoint_steps) == (7, (3, 6, 7))


@pytest.mark.parametrize(("asked", "warm_up"), [(None, 13), (0, 0), (40, 40), (6000, 126)])
def test_a_warm_up_in_steps_takes_the_place_of_its_share(asked: int | None, warm_up: int) -> None:
    run = spec(training={"warmupSteps": asked})
    assert plan_steps(run, 4004).warmup_steps == warm_up
    assert ("warmupSteps" in run.decisive_training) == (asked is not None), "without it the run is what it was before"


def test_a_fraction_of_an_epoch_is_not_rounded_up_by_floating_point() -> None:
    # 30 updates an epoch; 0.1 * 30 is 3.0000000000000004.
    plan = plan_steps(spec(training={"epochs": 0.1, "gradientAccumulationSteps": 1}, topology={"gpusPerNode": 1}), 30)
    assert plan.steps == 3


def test_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample"):
        plan_steps(spec(), 0)


settings_of_a_run = {
    "samples": st.integers(1, 300),
    "ranks": st.integers(1, 9),
    "batch": st.integers(1, 5),
    "seed": st.integers(0, 2**31 - 1),
    "epoch": st.integers(0, 5),
}


@given(**settings_of_a_run)
def test_all_ranks_together_see_each_sample_once_and_the_declared_padding_twice(
    samples: int, ranks: int, batch: int, seed: int, epoch: int
) -> None:
    plan = plan_steps(spec(topology={"gpusPerNode": ranks}, training={"perDeviceBatchSize": batch}), samples)
    order = epoch_order(samples, seed, epoch)
    seen = Counter(index for rank in range(ranks) for part in rank_batches(plan, order, rank) for index in part)
    assert set(seen) == set(range(samples))
    assert seen.total() == samples + plan.padding
    assert plan.padding < ranks * batch
    if plan.padding < samples:
        assert sum(count - 1 for count in seen.values()) == plan.padding
        assert max(seen.values()) <= 2


@given(**settings_of_a_run)
def test_the_order_is_the_same_for_any_world_size(samples: int, ranks: int, batch: int, seed: int, epoch: int) -> None:
    plan = plan_steps(spec(topology={"gpusPerNode": ranks}, training={"perDeviceBatchSize": batch}), samples)
    order = epoch_order(samples, seed, epoch)
    shares = [list(rank_batches(plan, order, rank)) for rank in range(ranks)]
    assert {len(share) for share in shares} == {plan.batches}
    woven = [index for step in range(plan.batches) for share in shares for index in share[step]]
    assert woven[:samples] == order


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
    assert epoch_order(50, 1, 1) == epoch_order(50, 1, 1)


def test_the_batch_sampler_follows_the_epoch_that_it_is_told() -> None:
    plan = plan_steps(spec(topology={"gpusPerNode": 2}), 10)
    sampler = RankBatches(plan, seed=3, rank=1)
    first = list(sampler)
    sampler.set_epoch(1)
    assert len(sampler) == len(first) == 5
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


@given(**settings_of_a_run, steps=st.integers(0, 40), accumulation=st.integers(1, 4))
def test_the_samples_seen_so_far_are_those_that_the_ranks_took(
    samples: int, ranks: int, batch: int, seed: int, epoch: int, steps: int, accumulation: int
) -> None:
    training = {"perDeviceBatchSize": batch, "gradientAccumulationSteps": accumulation}
    plan = plan_steps(spec(topology={"gpusPerNode": ranks}, training=training), samples)
    rows = [tuple(range(2 * row, 2 * row + 1 + row % 2)) for row in range(samples)]
    seen: set[int] = set()
    for update in range(steps):
        number, within = divmod(update, plan.updates)
        order = epoch_order(samples, seed, number)
        passes = slice(within * accumulation, (within + 1) * accumulation)
        for rank in range(ranks):
            for items in list(rank_batches(plan, order, rank))[passes]:
                seen.update(sample for item in items for sample in rows[item])
    assert Coverage(plan, rows, seed).unique(steps) == len(seen)


@given(
    samples=st.integers(1, 200),
    cuts=st.sampled_from(
        [((8, 1, 4), (4, 2, 4)), ((2, 4, 1), (1, 2, 4)), ((3, 2, 2), (1, 12, 1)), ((6, 1, 1), (2, 3, 1))]
    ),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 2),
)
def test_batches_of_similar_length_leave_each_update_its_samples(
    samples: int, cuts: tuple[tuple[int, int, int], ...], seed: int, epoch: int
) -> None:
    lengths = [100 + 37 * index % 211 for index in range(samples)]
    order = epoch_order(samples, seed, epoch)
    found = []
    for ranks, batch, accumulation in cuts:
        training = {"perDeviceBatchSize": batch, "gradientAccumulationSteps": accumulation}
        plan = plan_steps(spec(topology={"gpusPerNode": ranks}, training=training), samples)
        update = ranks * batch * accumulation
        shares, plain = (
            [list(rank_batches(plan, order, rank, given)) for rank in range(ranks)] for given in (lengths, None)
        )
        woven, unsorted = (
            [item for number in range(plan.batches) for share in which for item in share[number]]
            for which in (shares, plain)
        )
        assert set(woven) == set(range(samples))
        for start in range(0, len(woven), update):
            part = woven[start : start + update]
            assert sorted(part) == sorted(unsorted[start : start + update])
            assert [lengths[item] for item in part] == sorted((lengths[item] for item in part), reverse=True)
        found.append(woven[: samples // update * update])  # the last update is filled up by each cut's own padding
    assert found[0] == found[1]
