from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.reading import read_object
from exporter.state.history import History
from exporter.state.names import shown_names
from exporter.state.records import Poll, Record, State
from tests.examples import examples
from tests.pipeline import run

JANUARY, MAY = "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"


def record(key: str, name: str, created: str | None = JANUARY, *, is_known: bool = True) -> Record:
    state = State(read_object({"id": key, "name": name, "created_at": created}).deployment) if is_known else None
    return Record(key, name, History(), Poll(), state)


def labels(*records: Record) -> dict[str, str]:
    """The label of each key."""

    async def collected() -> dict[str, str]:
        by_key = {each.key: each for each in records}
        return {shown.key: label async for label, shown in shown_names(by_key)}

    return run(collected())


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([record("1", "a"), record("2", "b")], {"1": "a", "2": "b"}, id="different names"),
        pytest.param([record("1", "a"), record("2", "a", MAY)], {"1": "a", "2": "2"}, id="the older one"),
        pytest.param(
            [record("1", "a", MAY), record("2", "a")], {"1": "1", "2": "a"}, id="the older one, not the smaller"
        ),
        pytest.param([record("1", "a", None), record("2", "a", MAY)], {"1": "1", "2": "a"}, id="one of known age"),
        pytest.param([record("1", "a"), record("2", "a")], {"1": "a", "2": "2"}, id="of one age, the smaller key"),
        pytest.param(
            [record("1", "a", is_known=False), record("2", "a", MAY)],
            {"1": "1", "2": "a"},
            id="one whose state is known",
        ),
        pytest.param(
            [record("1", "a", is_known=False), record("2", "a", None)],
            {"1": "1", "2": "a"},
            id="one whose state is known, of whatever age",
        ),
        pytest.param([record("1", "2"), record("2", "b")], {"1": "1", "2": "b"}, id="a name that is another's key"),
        pytest.param([record("1", "2"), record("2", "1")], {"1": "1", "2": "2"}, id="names and keys crossed"),
        pytest.param([record("1", "2"), record("2", "2")], {"1": "1", "2": "2"}, id="a key that is its own name"),
        pytest.param(
            [record("1", "2"), record("2", "3"), record("3", "a")], {"1": "1", "2": "2", "3": "a"}, id="a chain"
        ),
        pytest.param(
            [record("1", "a"), record("2", "a"), record("3", "2")],
            {"1": "a", "2": "2", "3": "3"},
            id="one shown by its key",
        ),
    ],
)
def test_a_name_has_one_owner_and_the_others_are_shown_by_their_key(
    records: list[Record], expected: dict[str, str]
) -> None:
    for order in itertools.permutations(records):
        assert labels(*order) == expected


keys = st.sampled_from("abcd")
fleets = st.dictionaries(keys, st.tuples(keys, st.sampled_from([None, JANUARY, MAY]), st.booleans()), max_size=4)


@settings(max_examples=examples(200), deadline=None, derandomize=True, database=None)
@given(fleets)
def test_nobody_is_hidden_and_no_label_comes_twice(fleet: Mapping[str, tuple[str, str | None, bool]]) -> None:
    records = [record(key, name, created, is_known=known) for key, (name, created, known) in fleet.items()]
    found = labels(*records)
    assert found.keys() == fleet.keys()
    assert len(set(found.values())) == len(found)
    assert all(label in {key, fleet[key][0]} for key, label in found.items())
    for name in {each.name for each in records} - fleet.keys():
        assert name in found.values()
