from __future__ import annotations

import itertools
from typing import Any

import pytest

from exporter.api.errors import InvalidResponse
from exporter.api.listing import Item, Unreadable
from exporter.api.models import Dropped
from exporter.api.reading import Reading, read_object
from exporter.state.chosen import chosen
from exporter.state.records import Limits, Target
from tests.pipeline import run

JANUARY, MAY = "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"
ALL = Target("p")


def item(id_: str | None, name: str | None = None, created: str | None = JANUARY, **more: Any) -> Reading:
    return read_object({"id": id_, "name": name, "created_at": created, **more})


def unreadable(id_: str, name: str | None = None) -> Unreadable:
    return Unreadable(id_, name, InvalidResponse("too large"))


def limited(limit: int, *keys: str) -> Target:
    return Target("p", keys or None, limits=Limits(max_deployments_per_project=limit))


def choice(target: Target, *items: Item) -> tuple[dict[str, str | None], list[Dropped]]:
    """The ID of the item found by each key, and what is left out."""
    found, _, dropped = run(chosen(target, items))
    return {key: each.id for key, each in found.items()}, dropped


@pytest.mark.parametrize(
    ("target", "items", "expected"),
    [
        pytest.param(ALL, [item("1", "a"), item("2", "b")], {"1": "1", "2": "2"}, id="discovered, by ID"),
        pytest.param(ALL, [item(None, "a")], {"a": None}, id="without an ID, by name"),
        pytest.param(ALL, [item("1", "a"), item("2", "a")], {"1": "1", "2": "2"}, id="one name, two deployments"),
        pytest.param(ALL, [unreadable("1", "a"), item("2")], {"1": "1", "2": "2"}, id="an unreadable one"),
        pytest.param(
            Target("p", ("a", "2")),
            [item("1", "a"), item("2", "b"), item("3", "c")],
            {"a": "1", "2": "2"},
            id="configured, by what is configured",
        ),
        pytest.param(
            Target("p", ("a",)),
            [item("1", "a", MAY), item("2", "a")],
            {"a": "2", "1": "1"},
            id="a configured name of two: the older by it, the other by its ID",
        ),
        pytest.param(
            Target("p", ("a",)),
            [item("1", "a"), item("a", "b", MAY)],
            {"a": "a", "1": "1"},
            id="what is configured is an ID and a name: the ID",
        ),
        pytest.param(
            Target("p", ("a",)),
            [item("1", "a", None), item("2", "a", MAY)],
            {"a": "2", "1": "1"},
            id="one of known age before one of unknown",
        ),
        pytest.param(
            Target("p", ("a",)),
            [item("1", "a", None, cpu=2), item("2", "a", None, cpu=1)],
            {"a": "1", "2": "2"},
            id="of unknown age, the smaller ID",
        ),
        pytest.param(
            Target("p", ("a",)),
            [item(None, "a", None, cpu=2), item("1", "a", None, cpu=1)],
            {"a": None, "1": "1"},
            id="of unknown age, one without an ID",
        ),
        pytest.param(
            Target("p", ("a",)), [unreadable("1", "a"), item("2", "a")], {"a": "2", "1": "1"}, id="a readable one first"
        ),
        pytest.param(Target("p", ()), [item("1", "a")], {}, id="nothing configured"),
        pytest.param(
            Target("p", include=("a.*",), exclude=(".*x",)),
            [item("1", "ab"), item("2", "ax"), item("3", "b")],
            {"1": "1"},
            id="include and exclude match whole names",
        ),
        pytest.param(Target("p", exclude=("a",)), [item("1", "ab")], {"1": "1"}, id="half a name is no match"),
    ],
)
def test_what_is_wanted_is_found_whatever_the_order(
    target: Target, items: list[Item], expected: dict[str, str | None]
) -> None:
    for order in itertools.permutations(items):
        assert choice(target, *order) == (expected, [])


@pytest.mark.parametrize("target", [ALL, Target("p", ("1",)), Target("p", ("a",))], ids=["all", "by ID", "by name"])
def test_one_that_is_listed_twice_is_found_once_and_counted(target: Target) -> None:
    for other in (item("1", "a"), item("1", "a", status="Failed")):
        found, dropped = choice(target, item("1", "a"), other)
        assert list(found.values()) == ["1"]
        assert dropped == [Dropped("duplicate_deployment", "a")]


def test_of_several_with_a_configured_name_each_is_found_once() -> None:
    items = [item("1", "a"), item("2", "a", MAY), item("2", "a", MAY, status="Failed")]
    for order in itertools.permutations(items):
        assert choice(Target("p", ("a",)), *order) == ({"a": "1", "2": "2"}, [Dropped("duplicate_deployment", "a")])


def test_one_that_is_configured_by_name_and_by_id_is_found_by_both_and_its_repetition_counted_once() -> None:
    found = choice(Target("p", ("a", "1")), item("1", "a"), item("1", "a"))
    assert found == ({"1": "1", "a": "1"}, [Dropped("duplicate_deployment", "a")])


def test_which_of_two_forms_of_one_deployment_is_shown_does_not_depend_on_their_order() -> None:
    one, other = item("1", "a", status="Ready"), item("1", "a", status="Failed")
    found, _, _ = run(chosen(ALL, [one, other]))
    assert run(chosen(ALL, [other, one]))[0] == found


@pytest.mark.parametrize(("one", "other"), [("a", "b"), (None, "a")], ids=["two names", "no name"])
def test_of_two_names_of_one_deployment_the_smaller_is_shown(one: str | None, other: str) -> None:
    twice = [item("1", one, cpu=2), item("1", other, cpu=1)]
    for order in (twice, twice[::-1]):
        assert run(chosen(ALL, order))[0]["1"].name == one


def test_beyond_the_limit_the_smallest_ids_are_kept_whatever_the_order() -> None:
    items = [item(str(number)) for number in range(5)]
    for order in itertools.permutations(items):
        assert choice(limited(2), *order) == ({"0": "0", "1": "1"}, [Dropped("deployment_limit", "", 3)])


def test_beyond_the_limit_what_is_configured_goes_first() -> None:
    items = [item("1", "a", MAY), item("2", "a"), item("3", "b")]
    for order in itertools.permutations(items):
        assert choice(limited(2, "a", "b"), *order) == ({"a": "2", "b": "3"}, [Dropped("deployment_limit", "", 1)])


def test_a_shard_finds_its_own_and_all_shards_find_everything_once() -> None:
    items = [item(str(number), f"name-{number}") for number in range(50)]
    found = [choice(Target("p", shard_index=index, shard_total=3), *items)[0] for index in range(3)]
    assert sorted(key for each in found for key in each) == sorted(str(number) for number in range(50))
    assert all(found)
