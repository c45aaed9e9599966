"""CEL rules on what must not change once a run depends on it. Rules between fields stand with their models.

A run that is still waiting, or has failed, may be edited: that is how a mistake is mended.
"""

from __future__ import annotations

from collections.abc import Iterator

from fabula_api.base import Rule, camel
from fabula_api.fields import field_at
from fabula_api.recipes import API_KINDS, Kind, recipes
from fabula_api.specs import spec_type

_FREE = "!has(oldSelf.status) || !has(oldSelf.status.state) || !(oldSelf.status.state in ['Running', 'Suspended', 'Succeeded'])"  # noqa: E501


def fixed_fields(kind: Kind) -> Iterator[tuple[str, str]]:
    """What cannot change, as (recipe, dotted snake_case path); the recipe is empty where all recipes have the field."""
    yield from (("", path) for path in API_KINDS[kind].fixed)
    for recipe in recipes().values():
        yield from ((recipe.name, path) for path in recipe.fixed.get(kind, ()))


def fixed_rules(kind: Kind) -> list[Rule]:
    """Transition rules for the root of a kind: one for each fixed field, so that the message names it."""
    rules: list[Rule] = []
    for recipe, path in fixed_fields(kind):
        field = camel(path)
        definition = field_at(spec_type(kind, recipe), path)
        if definition is None:
            raise ValueError(f"recipe {recipe}: {kind} has no field {path} that could stay as it is")
        new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
        same = f"{new} == {old}"
        if definition.default is None:
            same = f"has({new}) == has({old}) && (!has({new}) || {same})"
        if recipe:
            block = field.partition(".")[0]
            there, before = f"has(self.spec.{block})", f"has(oldSelf.spec.{block})"
            same = f"{there} == {before} && (!{there} || ({same}))"
        rules.append(
            {
                "rule": f"{_FREE} || ({same})",
                "message": f"{field} cannot change once the run has started; make a new {kind}",
                "fieldPath": f".spec.{field}",
                "reason": "FieldValueForbidden",
            }
        )
    return rules
