"""What is kept by identity is made once and never mixed up."""

import gc

from fabula_local.schema import identity_cache
from fabula_local.schema.identity_cache import IdentityCache


def test_each_dict_gets_its_own_result_once() -> None:
    cache: IdentityCache[list[str]] = IdentityCache()
    one, equal = {"a": 1}, {"a": 1}
    assert cache.get(one, list) is cache.get(one, list)
    assert cache.get(one, list) is not cache.get(equal, list)


def test_an_id_is_not_taken_over_by_a_later_dict() -> None:
    cache: IdentityCache[int] = IdentityCache()
    for number in range(1000):
        assert cache.get({"n": number}, lambda source: source["n"]) == number
        gc.collect(0)


def test_it_is_emptied_when_full() -> None:
    cache: IdentityCache[int] = IdentityCache()
    sources = [{"n": number} for number in range(identity_cache._LIMIT + 1)]
    for source in sources:
        cache.get(source, lambda one: one["n"])
    assert len(cache._known) == 1
    assert cache.get(sources[0], lambda one: one["n"]) == 0
