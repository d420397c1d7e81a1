from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.errors import InvalidResponse
from exporter.api.listing import ListReader, read_list
from exporter.api.models import Reading
from exporter.slices import in_slices


def read(reader: ListReader, body: bytes) -> tuple[Reading, ...]:
    steps = reader.read(body)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: tuple[Reading, ...] = end.value
            return result


def body(*items: Any) -> bytes:
    return json.dumps({"object": "list", "data": items}, indent=1).encode()


def deployment(name: str, ready: int = 1) -> dict[str, Any]:
    return {"id": f"dep-{name}", "name": name, "ready_replicas": ready}


def names(readings: tuple[Reading, ...]) -> list[str | None]:
    return [reading.deployment.name for reading in readings]


ABC = [deployment("a"), deployment("b"), deployment("c")]


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        pytest.param(ABC, "abc", id="nothing"),
        pytest.param([ABC[0], deployment("b", 2), ABC[2]], "ac", id="one changed"),
        pytest.param(ABC[1:], "bc", id="the first gone"),
        pytest.param(ABC[:1] + ABC[2:], "ac", id="one gone from the middle"),
        pytest.param([deployment("x"), *ABC], "abc", id="one new before"),
        pytest.param([ABC[0], deployment("x"), *ABC[1:]], "abc", id="one new between"),
        pytest.param([*ABC, deployment("x")], "abc", id="one new behind"),
        pytest.param([None, *ABC, 3], "abc", id="what is no deployment"),
        pytest.param([], "", id="all gone"),
    ],
)
def test_what_has_not_changed_is_the_same_object(items: list[Any], kept: str) -> None:
    reader = ListReader()
    before = {r.deployment.name: r for r in read(reader, body(*ABC))}
    after = read(reader, body(*items))
    assert names(after) == [item["name"] if item and item != 3 else None for item in items]
    same = {r.deployment.name for r in after if r is before.get(r.deployment.name)}
    assert same == set(kept) or (not kept and same <= {None})
    again = read(reader, body(*items))
    assert all(a is b for a, b in zip(after, again, strict=True))


item = st.one_of(
    st.builds(deployment, st.sampled_from("abcdé\x7f\u2028"), st.integers(0, 3)),
    st.sampled_from([None, 1, 10, True, "a", [], {}, {"name": "no id"}]),
)
lists = st.lists(item, max_size=8)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(lists, st.sampled_from([None, 0, 2]), st.booleans()), min_size=1, max_size=6))
def test_a_reader_that_remembers_reads_what_one_reads_that_does_not(
    polls: list[tuple[list[Any], int | None, bool]],
) -> None:
    reader = ListReader()
    for items, indent, ascii_only in polls:
        answer = json.dumps({"a": [1], "data": items, "b": {}}, indent=indent, ensure_ascii=ascii_only).encode()
        assert read(reader, answer) == read_list(answer)
        assert [r.deployment.name for r in read_list(answer)] == [
            each.get("name") if isinstance(each, dict) else None for each in items
        ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"data"',
        '{"data":',
        '{"data": [',
        '{"data": [{}',
        '{"data": [{},]}',
        '{"data": [{} {}]}',
        '{"data": []',
        '{"data": []}x',
        '{"data": [],}',
        "{data: []}",
        "{1: 2}",
        '{"data": {}}',
        '{"data": null}',
        "{}",
        "[]",
        "3",
        "nope",
    ],
)
def test_what_is_no_list_is_refused_and_forgets_nothing(text: str) -> None:
    reader = ListReader()
    before = read(reader, body(*ABC))
    with pytest.raises(InvalidResponse):
        read(reader, text.encode())
    after = read(reader, body(*ABC))
    assert all(a is b for a, b in zip(before, after, strict=True))


def test_an_item_that_begins_as_the_one_before_is_not_taken_for_it() -> None:
    reader = ListReader()
    assert names(read(reader, b'{"data":[1,{"name":"a"},"x"]}')) == [None, "a", None]
    assert names(read(reader, b'{"data":[10,{"name":"ab"},"xy"]}')) == [None, "ab", None]


def test_slices_give_the_result() -> None:
    assert names(asyncio.run(in_slices(ListReader().read(body(*ABC))))) == ["a", "b", "c"]
