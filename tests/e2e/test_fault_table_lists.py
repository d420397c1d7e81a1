"""Lists that are refused, incomplete, empty or flapping: nothing vanishes without a reason, and each is logged once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import (
    PROJECT_ERROR,
    PROJECT_SUCCESS,
    SUCCESS,
    news,
    page,
    polled,
    project,
    soon,
    started,
)
from tests.e2e.scripted_api import NOT_FOUND, Answer, Script, ScriptedApi, item, listed, refusal

LIST = "p/deployments"
LAST_SUCCESS = "together_deployment_last_success_timestamp_seconds"
PROJECT_LAST_SUCCESS = "together_project_last_success_timestamp_seconds"
CHANGES = "together_deployment_status_changes_total"
STARTED = "together_deployment_replicas_started_total"
A, B, C = item("dep_a", "a"), item("dep_b", "b"), item("dep_c", "c")
ALL = {"a", "b", "c"}
REFUSALS = {
    "unauthorized": "401 Unauthorized",
    "forbidden": "403 Forbidden",
    "payment_required": "402 Payment Required",
    "rate_limited": "429 Too Many Requests",
    "server_error": "500 Internal Server Error",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        server.script[LIST] = listed(A, B, C)
        yield server


def shown(api: ScriptedApi, start: Start, names: set[str] = ALL, **settings: Any) -> Process:
    """A daemon that has seen the first list."""
    daemon = started(start, project(api, **settings))
    soon(lambda: page(daemon).names() == names, f"{names} are shown", api)
    return daemon


def test_a_list_that_is_not_found_keeps_all_deployments(api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start)
    api.script[LIST] = NOT_FOUND
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the list has failed", api)
    polled(api)
    during = page(daemon)
    assert during.names() == ALL
    assert [during.reasons(name) for name in sorted(ALL)] == [{"invalid_response"}] * 3
    assert {during.value(SUCCESS, name) for name in ALL} == {0}
    polled(api)
    assert [page(daemon).value(LAST_SUCCESS, name) for name in ALL] == [
        during.value(LAST_SUCCESS, name) for name in ALL
    ]
    assert "not_found" not in "".join(news(daemon))
    api.script[LIST] = listed(A, B, C)
    soon(lambda: {page(daemon).value(SUCCESS, name) for name in ALL} == {1}, "all are well again", api)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_deployments_of_a_list_that_is_not_found_are_kept_until_they_are_stale(
    status: str, api: ScriptedApi, start: Start
) -> None:
    daemon = shown(api, start, stale_after="2s")
    api.script[LIST] = refusal(status)
    polled(api)
    assert page(daemon).names() == ALL
    soon(lambda: page(daemon).names() == set(), "their state is stale", api, polls=60)
    assert page(daemon).names(SUCCESS) == ALL


def test_a_list_that_is_not_found_gives_the_project_a_reason(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = NOT_FOUND
    daemon = started(start, project(api))
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the list has failed", api)
    assert page(daemon).project_reasons() == {"invalid_response"}
    assert daemon.get("/-/ready").status_code == 200


def test_a_list_that_is_not_found_does_not_take_configured_deployments(api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, {"a", "b"}, fetch="list", deployments=["a", "b"])
    api.script[LIST] = NOT_FOUND
    soon(lambda: page(daemon).value(SUCCESS, "a") == 0, "the list has failed", api)
    assert page(daemon).names() == {"a", "b"}
    assert page(daemon).reasons("a") == page(daemon).reasons("b") == {"invalid_response"}


def test_a_list_that_is_not_complete_keeps_what_it_lacks(api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start)
    since = len(daemon.log)
    api.script[LIST] = listed({**A, "ready_replicas": 7}, has_more=True)
    ready = "together_deployment_replicas_ready"
    soon(lambda: page(daemon).value(ready, "a") == 7, "what is listed is applied", api)
    polled(api, LIST, 4)
    during = page(daemon)
    assert during.names() == ALL
    assert (during.value(SUCCESS, "a"), during.reasons("a")) == (1, set())
    assert (during.value(SUCCESS, "b"), during.reasons("b")) == (0, {"invalid_response"})
    assert (during.value(SUCCESS, "c"), during.reasons("c")) == (0, {"invalid_response"})
    assert during.value(PROJECT_SUCCESS) == 1
    assert during.project_reasons() == set()
    warnings = [line for line in news(daemon, since) if "level=warn" in line]
    assert [line for line in warnings if "project=p" in line], "a warning says that the list is not complete"
    assert len(warnings) <= 3, "one for the project, or one for each that it lacks; not one for each poll"
    api.script[LIST] = listed(A, B)
    soon(lambda: page(daemon).names() == {"a", "b"}, "a complete list takes what it lacks", api)
    assert page(daemon).value(SUCCESS, "b") == 1


def test_what_incomplete_lists_lack_goes_when_it_is_stale(api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, stale_after="2s")
    api.script[LIST] = listed(A, has_more=True)
    polled(api)
    assert page(daemon).names() == ALL
    soon(lambda: page(daemon).names() == {"a"}, "what it lacks is stale", api, polls=60)


def test_a_first_list_that_is_not_complete_is_shown(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = listed(A, B, has_more=True)
    daemon = shown(api, start, {"a", "b"})
    assert page(daemon).value(PROJECT_SUCCESS) == 1
    assert daemon.get("/-/ready").status_code == 200


def test_a_configured_deployment_that_an_incomplete_list_lacks_is_not_not_found(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = listed(A, has_more=True)
    daemon = shown(api, start, {"a"}, fetch="list", deployments=["a", "b"])
    assert page(daemon).value(SUCCESS, "b") == 0
    assert page(daemon).reasons("b") == {"invalid_response"}


@pytest.mark.parametrize("value", [False, None], ids=["false", "null"])
def test_a_list_without_more_is_complete(value: object, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start)
    api.script[LIST] = listed(A, has_more=value)
    soon(lambda: page(daemon).names() == {"a"}, "the others are gone", api)
    assert page(daemon).names(SUCCESS) == {"a"}


EMPTY = {
    "null": Answer(b'{"object": "list", "data": null}'),
    "null-alone": Answer(b'{"data": null}'),
    "empty": listed(),
}


@pytest.mark.parametrize("body", EMPTY)
def test_an_empty_project_is_a_good_poll(body: str, api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = EMPTY[body]
    daemon = started(start, project(api))
    polled(api)
    soon(lambda: daemon.get("/-/ready").status_code == 200, "the project is polled", api)
    assert page(daemon).value(PROJECT_SUCCESS) == 1
    assert page(daemon).value("together_project_deployments") == 0


@pytest.mark.parametrize("body", EMPTY)
def test_a_project_that_becomes_empty_leaves_no_deployment(body: str, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start)
    api.script[LIST] = EMPTY[body]
    soon(lambda: page(daemon).names() == set(), "all are gone", api)
    assert page(daemon).names(SUCCESS) == set()
    assert page(daemon).value(PROJECT_SUCCESS) == 1


def flapping(number: int) -> Answer:
    """`chat` changes its status with every list and is missing from every third."""
    status = "Ready" if number % 2 else "Updating"
    replicas = {f"chat-{number // 3}": {"replica_status": "Running"}}
    chat = item("dep_1", "chat", status=status, replica_events=replicas)
    return listed(A) if number % 3 == 0 else listed(A, chat)


def test_counters_of_a_deployment_that_is_missing_from_every_third_list_go_on(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = flapping
    daemon = started(start, project(api))
    looks = []

    def has_counted() -> bool:
        last = page(daemon)
        if {"a", "chat"} <= last.names():
            looks.append(last)
        return bool(looks) and looks[-1].total(CHANGES, deployment="chat") >= 6

    soon(has_counted, "changes are counted", api, polls=40)
    totals = [look.total(CHANGES, deployment="chat") for look in looks]
    assert totals == sorted(totals), "they never go back"


def test_replicas_of_a_deployment_that_is_missing_from_every_third_list_are_counted(
    api: ScriptedApi, start: Start
) -> None:
    api.script[LIST] = flapping
    daemon = started(start, project(api))
    soon(lambda: page(daemon).total(STARTED, deployment="chat") >= 4, "replicas that started are counted", api)


def about(daemon: Process, deployment: str, since: int) -> list[str]:
    return [line for line in news(daemon, since) if f"deployment={deployment} " in f"{line} "]


def test_a_deployment_that_goes_and_comes_back_is_logged_once_in_each_direction(api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start)
    since = len(daemon.log)
    api.script[LIST] = listed(A, C)
    soon(lambda: page(daemon).names() == {"a", "c"}, "it is gone", api)
    polled(api, LIST, 5)
    assert len(about(daemon, "b", since)) == 1
    back = len(daemon.log)
    api.script[LIST] = listed(A, B, C)
    soon(lambda: page(daemon).names() == ALL, "it is back", api)
    polled(api, LIST, 5)
    assert len(about(daemon, "b", back)) == 1
    assert [line for line in news(daemon, since) if line not in about(daemon, "b", since)] == []


def test_a_failed_list_of_300_deployments_ends_in_one_line(api: ScriptedApi, start: Start) -> None:
    fleet = listed(*(item(f"dep_{n}", f"d{n}") for n in range(300)))
    api.script[LIST] = fleet
    daemon = started(start, project(api))
    soon(lambda: page(daemon).value("together_project_deployments") == 300, "all are shown", api)
    since = len(daemon.log)
    api.script[LIST] = refusal("400 Bad Request")
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the list fails", api)
    polled(api)
    assert len(news(daemon, since)) == 1
    recovery = len(daemon.log)
    api.script[LIST] = fleet
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 1, "the list is well again", api)
    polled(api, LIST, 3)
    lines = news(daemon, recovery)
    assert len(lines) == 1, lines[:3]
    assert "project=p" in lines[0]


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refused_list_keeps_the_deployments_and_names_the_reason_of_each(
    reason: str, api: ScriptedApi, start: Start
) -> None:
    daemon = shown(api, start, poll_timeout="500ms")
    api.script[LIST] = refusal(REFUSALS[reason])
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the list is refused", api)
    assert page(daemon).names() == ALL
    assert [page(daemon).reasons(name) for name in sorted(ALL)] == [{reason}] * 3


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refused_list_names_the_reason_of_the_project(reason: str, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, poll_timeout="500ms")
    script: Script = api.script[LIST]
    api.script[LIST] = refusal(REFUSALS[reason])
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the list is refused", api)
    during = page(daemon)
    assert during.series(PROJECT_ERROR, project="p") == [({"project": "p", "reason": reason}, 1)]
    last = during.value(PROJECT_LAST_SUCCESS)
    assert last is not None
    polled(api, LIST, 3 if reason != "rate_limited" else 1)
    assert page(daemon).value(PROJECT_LAST_SUCCESS) == last
    api.script[LIST] = script
    until(lambda: page(daemon).value(PROJECT_SUCCESS) == 1, "the list is well again")
    assert page(daemon).series(PROJECT_ERROR) == []
    until(lambda: (page(daemon).value(PROJECT_LAST_SUCCESS) or 0) > last, "the last success moves again")


def test_a_key_that_was_never_accepted_has_a_reason(api: ScriptedApi, start: Start) -> None:
    api.script[LIST] = refusal("401 Unauthorized")
    daemon = started(start, project(api))
    soon(lambda: page(daemon).value(PROJECT_SUCCESS) == 0, "the key is refused", api)
    assert page(daemon).value(PROJECT_ERROR, reason="unauthorized") == 1
