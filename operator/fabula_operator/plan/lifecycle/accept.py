"""Whether a run can be carried out at all: the spec parses, the recipe exists, no field contradicts another."""

from __future__ import annotations

from fabula_api.recipes import stages_of
from fabula_api.specs import Spec, kind_of
from fabula_operator.plan.acceptance.confinement import out_of_bounds
from fabula_operator.plan.acceptance.disk import no_room
from fabula_operator.plan.acceptance.refusal import Accepted, Refusal
from fabula_operator.plan.acceptance.spec import meaningless, misplaced, parsed, unknown_recipe
from fabula_operator.plan.acceptance.unfit import settled
from fabula_operator.plan.kinds import KINDS
from fabula_operator.plan.money import unpriced
from fabula_operator.plan.seen.observed import Observed


def accept(seen: Observed) -> Accepted | Refusal:
    """The parsed spec and its stages, or the first thing that is wrong with it."""
    kind = seen.run.identity.kind
    spec = parsed(seen.run.spec, kind)
    if isinstance(spec, Refusal):
        return spec
    definition = KINDS[kind]
    stages = stages_of(spec.recipe, kind, definition.dry_run(spec))
    if stages is None and stages_of(spec.recipe, kind) is not None and (problem := meaningless(spec)):
        return Refusal("InvalidSpec", problem)  # a dry run of a recipe that has none
    if stages is None:
        return Refusal("UnknownRecipe", unknown_recipe(spec.recipe, kind))
    if problem := misplaced(spec, seen.environment.artifact_root):
        return Refusal("InvalidSpec", problem)
    if problem := out_of_bounds(seen, spec):
        return Refusal("OutsideNamespace", problem)
    if refusal := infeasible(spec):
        return refusal
    if not definition.dry_run(spec) and (problem := unpriced.over_budget(spec)):
        return Refusal("PriceUnknown", problem)
    estimate = definition.expected(seen, spec)
    if refusal := definition.hopeless(seen, spec, estimate):
        return refusal
    looked_at = not settled(seen) and not definition.takes_the_risk(spec)
    if looked_at and (problem := no_room(seen.environment, spec)):
        return Refusal("DoesNotFit", problem, estimate)
    return Accepted(spec, stages, estimate)


def infeasible(spec: Spec) -> Refusal | None:
    """The first field that the schema cannot judge."""
    if problem := meaningless(spec):
        return Refusal("InvalidSpec", problem)
    return KINDS[kind_of(spec)].infeasible(spec)
