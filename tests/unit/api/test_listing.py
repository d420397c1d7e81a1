from __future__ import annotations

import itertools
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.errors import InvalidResponse, PollTimeout
from exporter.api.listing import ITEMS_PER_DEPLOYMENT, MAX_COMMAS, MIN_LIMIT, Listing, ListReader, Unreadable
from exporter.api.models import Dropped, printable
from exporter.api.reading import MAX_DEPLOYMENT, Reading
from tests.examples import examples
from tests.pipeline import answer, deployment, listing, run

NO_LIMIT = 1000
ODD = {"image": "\ud800"}  # what msgspec reads no body with


def anything(_: str | None, __: str | None) -> bool:
    return True


def read(body: bytes, reader: ListReader | None = None, limit: int = NO_LIMIT, **more: Any) -> Listing:
    more.setdefault("wanted", anything)
    return run((reader or ListReader()).read(body, limit=limit, **more))


def ids(found: Listing) -> list[str | None]:
    return [item.id for item in found.items]


ABC = [deployment("a"), deployment("b"), deployment("c")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(listing(*ABC), ["a", "b", "c"], id="three"),
        pytest.param(listing(), [], id="none"),
        pytest.param(b'{"data": null}', [], id="null"),
        pytest.param(b'{"object": "list", "data": null}', [], id="null in a list"),
        pytest.param(b'{"object": "list"}', [], id="a list without data"),
        pytest.param(b"\xef\xbb\xbf" + listing(*ABC), ["a", "b", "c"], id="BOM"),
        pytest.param(b' { "a" : [1], "data" : [ {"id" : "a"} , {"id":"b"}\n] , "b" : {} } ', ["a", "b"], id="spaces"),
        pytest.param(listing({"id": "a", "extra": [{"id": "b"}]}), ["a"], id="an object within"),
        pytest.param(listing({"name": "a"}), [None], id="without an ID"),
    ],
)
def test_the_items_of_a_list(body: bytes, expected: list[str | None]) -> None:
    found = read(body)
    assert ids(found) == expected
    assert (found.is_complete, found.dropped) == (True, ())


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"data"',
     '{"data":', '{"data": [', '{"data": [{}', '{"data": [{},]}', '{"data": [{} {}]}', '{"data": []',
     '{"data": []}x', '{"data": [],}', "{data: []}", "{1: 2}", '{"data": {}}', '{"data": 3}', '{"data": "x"}', "{}",
     '{"error": {}}', '{"object": "deployment", "id": "a"}', "[]", "3", "null", "nope", "[" * 10_000],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_what_is_no_list_is_refused_and_forgets_nothing(text: str) -> None:
    reader = ListReader()
    before = read(listing(*ABC), reader)
    with pytest.raises(InvalidResponse):
        read(text.encode(), reader)
    assert all(a is b for a, b in zip(before.items, read(listing(*ABC), reader).items, strict=True))


@pytest.mark.parametrize(
    ("has_more", "is_complete"),
    [
        (True, False),
        ("true", False),
        (1, False),
        ("cursor", False),
        ({"after": "x"}, False),
        (False, True),
        (None, True),
        ("false", True),
        (0, True),
        ("", True),
    ],
)
@pytest.mark.parametrize("item", [ABC[0], {**ABC[0], **ODD}], ids=["plain", "odd"])
def test_a_list_is_complete_unless_it_says_that_there_is_more(
    has_more: object, is_complete: bool, item: dict[str, Any]
) -> None:
    assert read(listing(item, has_more=has_more)).is_complete is is_complete


@pytest.mark.parametrize(
    "items", [[None, 3, "a", True, []], [{}, {"unknown": 1}], [{"id": ""}, {"id": 5, "name": None}]]
)
@pytest.mark.parametrize("odd", [{}, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("limit", [NO_LIMIT, 1])
def test_what_is_no_deployment_is_counted_and_costs_no_other(items: list[Any], odd: dict[str, str], limit: int) -> None:
    found = read(listing(*items, {**ABC[0], **odd}), limit=limit)
    assert ids(found) == ["a"]
    assert found.dropped == (Dropped("invalid_value", "", len(items)),)


@pytest.mark.parametrize(
    "odd",
    ["NaN", "Infinity", "1" + "0" * 5000, '"\\ud800"', '"\x01"', '"\xff"', "1e999", '{"\\ud800": 1}'],
    ids=lambda odd: odd[:10],
)  # fmt: skip
def test_one_odd_value_costs_no_other_item(odd: str) -> None:
    body = '{"data": [{"id": "a", "cpu": %s}, {"id": "b", "cpu": 2}], "has_more": true}' % odd  # noqa: UP031 - JSON has braces
    found = read(body.encode("latin-1"))
    assert ids(found) == ["a", "b"]
    assert not found.is_complete
    assert found == read(body.encode("latin-1"))
    other = found.items[1]
    assert isinstance(other, Reading)
    assert other.deployment.cpu == 2


@pytest.mark.parametrize(
    ("items", "kept"),
    [
        pytest.param(ABC, "abc", id="nothing"),
        pytest.param([ABC[0], deployment("b", cpu=2), ABC[2]], "ac", id="one changed"),
        pytest.param(ABC[1:], "bc", id="the first gone"),
        pytest.param(ABC[:1] + ABC[2:], "ac", id="one gone from the middle"),
        pytest.param([deployment("x"), *ABC], "abc", id="one new before"),
        pytest.param([ABC[0], deployment("x"), *ABC[1:]], "abc", id="one new between"),
        pytest.param([*ABC, deployment("x")], "abc", id="one new behind"),
        pytest.param(ABC[::-1], "abc", id="another order"),
        pytest.param([None, *ABC, 3], "abc", id="what is no deployment"),
        pytest.param([], "", id="all gone"),
    ],
)
def test_what_has_not_changed_is_the_same_object(items: list[Any], kept: str) -> None:
    reader = ListReader()
    before = {item.id: item for item in read(listing(*ABC), reader).items}
    after = read(listing(*items), reader)
    assert ids(after) == [item["id"] for item in items if isinstance(item, dict)]
    assert {item.id for item in after.items if item is before.get(item.id)} == set(kept)


def test_an_item_that_begins_as_the_one_before_is_not_taken_for_it() -> None:
    reader = ListReader()
    assert ids(read(b'{"data":[1,{"id":"a"},"x"]}', reader)) == ["a"]
    assert ids(read(b'{"data":[10,{"id":"ab"},"xy"]}', reader)) == ["ab"]


each_item = st.one_of(
    st.builds(deployment, st.sampled_from("abcdé\x7f\u2028"), cpu=st.integers(0, 3)),
    st.sampled_from([None, 1, 10, True, "a", [], {}, {"name": "no id"}, {"id": "odd", **ODD}]),
)
lists = st.lists(each_item, max_size=8)


@settings(max_examples=examples(100), deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(lists, st.sampled_from([None, 0, 2])), min_size=1, max_size=6), st.sampled_from([3, 1000]))
def test_a_reader_that_remembers_reads_what_one_reads_that_does_not(
    polls: list[tuple[list[Any], int | None]], limit: int
) -> None:
    reader = ListReader()
    for items, indent in polls:
        body = json.dumps({"a": [1], "data": items, "b": {}}, indent=indent).encode()
        found = read(body, reader, limit)
        assert found == read(body, limit=limit)
        distinct = {printable(item.get("id", "no id")) for item in items if isinstance(item, dict) and item}
        assert len({item.id or item.name for item in found.items}) == min(len(distinct), limit)


@pytest.mark.parametrize("odd", [{}, ODD], ids=["plain", "odd"])
def test_beyond_the_limit_the_smallest_ids_are_read_whatever_the_order(odd: dict[str, str]) -> None:
    items = [{**deployment(id_), **odd} for id_ in "dbca"]
    for order in itertools.permutations(items):
        found = read(listing(*order), limit=2)
        assert sorted(str(item.id) for item in found.items) == ["a", "b"]
        assert found.dropped == (Dropped("deployment_limit", "", 2),)


def test_beyond_the_limit_what_is_not_wanted_takes_no_place() -> None:
    found = read(listing(*ABC), limit=1, wanted=lambda id_, name: (id_, name) == ("c", "c"))
    assert (ids(found), found.dropped) == (["c"], ())


def test_beyond_the_limit_one_that_is_listed_twice_takes_one_place() -> None:
    found = read(listing(ABC[0], ABC[0], ABC[1]), limit=2)
    assert (ids(found), found.dropped) == (["a", "a", "b"], ())


@pytest.mark.parametrize("odd", [{}, ODD], ids=["plain", "odd"])
@pytest.mark.parametrize("limit", [NO_LIMIT, 2])
def test_an_item_above_a_mebibyte_is_unreadable_and_costs_no_other(odd: dict[str, str], limit: int) -> None:
    large = deployment("a", "chat", description="x" * MAX_DEPLOYMENT)
    found = read(listing(large, {**ABC[1], **odd}, deployment("z")), limit=limit)
    first, *others = found.items
    assert isinstance(first, Unreadable)
    assert (first.id, first.name, first.error.reason) == ("a", "chat", "invalid_response")
    assert all(isinstance(item, Reading) for item in others)


def test_a_large_item_is_read() -> None:
    (item,) = read(listing(deployment("a", description="x" * (MAX_DEPLOYMENT - 100)))).items
    assert isinstance(item, Reading)


MANY = ITEMS_PER_DEPLOYMENT * MIN_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"data": [' + b"{}," * MANY + b"{}]}", id="objects"),
        pytest.param(b'{"data": [' + b"1," * MANY + b"1]}", id="numbers"),
        pytest.param(b'{"data": [' + b"1," * MANY + b"NaN]}", id="odd ones"),
        pytest.param(b'{"data": [{"id": "a", "x": [' + b"0," * MAX_COMMAS + b"0]}]}", id="within an item"),
    ],
)
def test_a_list_of_too_many_values_is_refused_at_once(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(InvalidResponse, match=r"the list has 100,001 items|more than 4,000,000 values"):
        read(body)
    assert time.process_time() - began < 1.0


def test_a_larger_limit_allows_more_items() -> None:
    body = b'{"data": [' + b"{}," * MANY + b"{}]}"
    assert read(body, limit=2 * MIN_LIMIT).dropped == (Dropped("invalid_value", "", MANY + 1),)


def test_a_body_that_takes_too_long_to_parse_is_given_up() -> None:
    with pytest.raises(PollTimeout):
        read(listing({**ABC[0], **ODD}), deadline=time.monotonic() - 1)


def test_the_order_of_the_answer_is_kept() -> None:
    shuffled = [deployment(str(number)) for number in range(50)]
    random.Random(1).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    assert ids(read(listing(*shuffled))) == [item["id"] for item in shuffled]
    assert ids(read(answer({"data": shuffled}), limit=50)) == [item["id"] for item in shuffled]


@pytest.mark.parametrize("odd", ["1", "Infinity"])  # by either parser
def test_an_error_is_not_an_empty_list_and_a_list_beside_it_is_not_complete(odd: str) -> None:
    error = f'"error": {{"message": "boom", "x": {odd}}}'
    for data in ("", '"data": null, ', '"data": [], '):
        with pytest.raises(InvalidResponse, match="an error instead of a list"):
            read(f'{{"object": "list", {data}{error}}}'.encode())
    found = read(f'{{"object": "list", "data": [{{"id": "a"}}], {error}}}'.encode())
    assert (ids(found), found.is_complete) == (["a"], False)
