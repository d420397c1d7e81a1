"""Names that move between deployments, and several deployments under one name: nobody is ever hidden."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Process, Start
from tests.e2e.observed import SUCCESS, page, polled, project, soon, started
from tests.e2e.scripted_api import NOT_FOUND, ScriptedApi, item, listed, one

Names = dict[str, str]  # name by ID, in the order of the list
LIST = "p/deployments"

MOVES: dict[str, tuple[Names, Names]] = {
    "the-new-takes-the-name-of-the-old": (
        {"dep_2": "chat-new", "dep_1": "chat"},
        {"dep_2": "chat", "dep_1": "chat-old"},
    ),
    "one-that-is-new-takes-a-name": ({"dep_1": "chat"}, {"dep_2": "chat", "dep_1": "chat-old"}),
    "the-name-of-a-deleted-one": ({"dep_1": "chat", "dep_2": "embed"}, {"dep_2": "chat"}),
    "swap": ({"dep_1": "a", "dep_2": "b"}, {"dep_1": "b", "dep_2": "a"}),
    "swap-of-three": ({"dep_1": "a", "dep_2": "b", "dep_3": "c"}, {"dep_1": "b", "dep_2": "c", "dep_3": "a"}),
    "chain-of-three": ({"dep_1": "a", "dep_2": "b", "dep_3": "c"}, {"dep_1": "b", "dep_2": "c", "dep_3": "d"}),
    "two-swaps": (
        {"dep_1": "a", "dep_2": "b", "dep_3": "c", "dep_4": "d"},
        {"dep_1": "b", "dep_2": "a", "dep_3": "d", "dep_4": "c"},
    ),
}
ID_AS_NAME: dict[str, Names] = {
    "of-another": {"dep_1": "dep_2", "dep_2": "chat"},
    "of-each-other": {"dep_1": "dep_2", "dep_2": "dep_1"},
    "in-a-ring": {"dep_1": "dep_2", "dep_2": "dep_3", "dep_3": "dep_1"},
    "of-one-of-two-with-one-name": {"dep_1": "chat", "dep_2": "chat", "dep_3": "dep_1", "dep_4": "dep_2"},
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


def answer(api: ScriptedApi, names: Names, *, backwards: bool = False) -> None:
    items = [item(id_, name) for id_, name in names.items()]
    api.script[LIST] = listed(*reversed(items)) if backwards else listed(*items)


def by_name(names: Names) -> dict[str, str]:
    return {name: id_ for id_, name in names.items()}


def shows(daemon: Process, expected: dict[str, str]) -> bool:
    return page(daemon).shown() == expected


def settle(api: ScriptedApi, daemon: Process, expected: dict[str, str]) -> None:
    soon(lambda: shows(daemon, expected), f"{expected} are shown", api)


BACKWARDS = "-backwards"  # the second list in the other order
HIDDEN = {
    "the-new-takes-the-name-of-the-old",
    "one-that-is-new-takes-a-name",
    "swap",
    f"swap{BACKWARDS}",
    "swap-of-three",
    f"swap-of-three{BACKWARDS}",
    "chain-of-three",
    "two-swaps",
    f"two-swaps{BACKWARDS}",
}


@pytest.mark.parametrize("move", [*MOVES, *(f"{move}{BACKWARDS}" for move in MOVES)])
def test_names_that_move_in_one_list_are_all_shown(move: str, api: ScriptedApi, start: Start) -> None:
    before, after = MOVES[move.removesuffix(BACKWARDS)]
    answer(api, before)
    daemon = started(start, project(api))
    settle(api, daemon, by_name(before))
    answer(api, after, backwards=move.endswith(BACKWARDS))
    seen = []

    def is_moved() -> bool:
        seen.append(page(daemon))
        return seen[-1].shown() == by_name(after)

    soon(is_moved, f"{by_name(after)} are shown", api)
    assert [each.shown() for each in seen if each.shown() not in (by_name(before), by_name(after))] == []
    last = page(daemon)
    assert {labels["deployment"]: value for labels, value in last.series(SUCCESS)} == dict.fromkeys(by_name(after), 1)
    assert last.value("together_project_deployments") == len(after)


def test_names_that_move_at_each_list_are_all_shown_at_each_look(api: ScriptedApi, start: Start) -> None:
    rounds = [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]
    lists = [listed(*(item(f"dep_{n}", name) for n, name in enumerate(names))) for names in rounds]
    api.script[LIST] = lambda number: lists[number % 3]
    daemon = started(start, project(api))
    soon(lambda: page(daemon).names() == {"a", "b", "c"}, "all are shown", api)
    looks = [page(daemon).shown() for _ in range(30)]
    allowed = [{name: f"dep_{n}" for n, name in enumerate(names)} for names in rounds]
    assert [look for look in looks if look not in allowed] == []


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
@pytest.mark.parametrize("case", ID_AS_NAME)
def test_a_name_that_is_the_id_of_another_hides_nobody(
    case: str, api: ScriptedApi, start: Start, *, backwards: bool
) -> None:
    names = ID_AS_NAME[case]
    answer(api, names, backwards=backwards)
    daemon = started(start, project(api))
    soon(lambda: sorted(page(daemon).shown().values()) == sorted(names), "all are shown", api)
    shown = page(daemon).shown()
    assert all(label in (id_, names[id_]) for label, id_ in shown.items()), "a label is the deployment's name or its ID"
    assert page(daemon).names(SUCCESS) == set(shown)


def duplicates(api: ScriptedApi, start: Start, *, backwards: bool = False) -> tuple[Process, str, str]:
    """(daemon, ID of the one that is shown by its name, ID of the other)"""
    answer(api, {"dep_1": "chat", "dep_2": "chat", "dep_3": "embed"}, backwards=backwards)
    daemon = started(start, project(api))
    soon(lambda: len(page(daemon).shown()) == 3, "all three are shown", api)
    shown = page(daemon).shown()
    named = shown["chat"]
    other = ({"dep_1", "dep_2"} - {named}).pop()
    assert shown == {"chat": named, other: other, "embed": "dep_3"}
    return daemon, named, other


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
def test_two_of_one_name_are_shown_by_name_and_by_id(api: ScriptedApi, start: Start, *, backwards: bool) -> None:
    daemon, _, _ = duplicates(api, start, backwards=backwards)
    assert page(daemon).value("together_project_deployments") == 3
    assert {value for _, value in page(daemon).series(SUCCESS)} == {1}


def test_the_same_one_of_two_has_the_name_whatever_the_order_of_the_list(api: ScriptedApi, start: Start) -> None:
    pair = [item("dep_1", "chat"), item("dep_2", "chat")]
    api.script[LIST] = lambda number: listed(*pair) if number % 2 else listed(*reversed(pair))
    daemon = started(start, project(api))
    soon(lambda: len(page(daemon).shown()) == 2, "both are shown", api)
    looks = []
    for _ in range(10):
        polled(api, LIST, 1)
        looks.append(page(daemon).shown())
    assert [look for look in looks if look != looks[0]] == []


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
def test_the_other_takes_the_name_when_the_shown_one_is_deleted(
    api: ScriptedApi, start: Start, *, backwards: bool
) -> None:
    daemon, _, other = duplicates(api, start, backwards=backwards)
    answer(api, {other: "chat", "dep_3": "embed"})
    settle(api, daemon, {"chat": other, "embed": "dep_3"})
    assert page(daemon).names(SUCCESS) == {"chat", "embed"}
    assert page(daemon).value("together_project_deployments") == 2


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
def test_the_other_takes_the_name_when_the_shown_one_is_renamed(
    api: ScriptedApi, start: Start, *, backwards: bool
) -> None:
    daemon, named, other = duplicates(api, start, backwards=backwards)
    answer(api, {named: "chat-old", other: "chat", "dep_3": "embed"}, backwards=backwards)
    settle(api, daemon, {"chat-old": named, "chat": other, "embed": "dep_3"})


def test_the_shown_one_keeps_the_name_when_the_other_is_deleted(api: ScriptedApi, start: Start) -> None:
    daemon, named, _ = duplicates(api, start)
    answer(api, {named: "chat", "dep_3": "embed"})
    settle(api, daemon, {"chat": named, "embed": "dep_3"})


def test_with_fetch_each_the_other_takes_the_name_when_the_shown_one_is_deleted(api: ScriptedApi, start: Start) -> None:
    ids = ("dep_1", "dep_2")
    for id_ in ids:
        api.script[f"{LIST}/{id_}"] = one(id_, "chat")
    daemon = started(start, project(api, deployments=list(ids)))
    path = f"{LIST}/dep_1"
    soon(lambda: sorted(page(daemon).shown().values()) == ["dep_1", "dep_2"], "both are shown", api, path)
    named = page(daemon).shown()["chat"]
    (other,) = set(ids) - {named}
    api.script[f"{LIST}/{named}"] = NOT_FOUND
    soon(lambda: shows(daemon, {"chat": other}), "the other has the name", api, path)
