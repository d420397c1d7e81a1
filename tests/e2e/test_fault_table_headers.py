"""Headers that a client library cannot digest: no poll after them is harmed, and no cookie is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Process, Start
from tests.e2e.observed import FAILURES, SUCCESS, news, page, polled, project, soon, started
from tests.e2e.scripted_api import Answer, ScriptedApi, item, listed

LIST, ONE = "p/deployments", "p/deployments/chat"
CLOCK = "clock/deployments"  # of a project that is well; time is counted in its polls
READY = "together_deployment_replicas_ready"
COOKIES = {
    "raw-bytes": b"set-cookie: \xff=\xfe\r\n",
    "raw-bytes-in-the-value": b"set-cookie: a=\xfe\xff; Path=/\r\n",
    "utf-8": "set-cookie: é=ü\r\n".encode(),
    "ordinary": b"set-cookie: session=1; Path=/\r\n",
    "for-ever": b"set-cookie: session=1; Path=/; Max-Age=99999999\r\n",
    "impossible-date": b"set-cookie: session=1; Expires=Mon, 99 Foo 99999 99:99:99 GMT\r\n",
    "many": b"".join(b"set-cookie: c%d=1; Path=/\r\n" % n for n in range(60)),
    "empty": b"set-cookie: \r\n",
}
LOCATIONS = {
    "bad-punycode": b"http://xn--/",
    "open-bracket": b"http://[::1",
    "empty-label-idna": "http://é..x/".encode(),
    "raw-bytes": b"\xff\xfe",
    "port-99999": b"http://localhost:99999/",
    "empty": b"",
    "long": b"http://127.0.0.1/" + b"x" * 20_000,
}

UNREADABLE = {"bad-punycode"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        server.script[CLOCK] = listed(item("dep_c", "tick"))
        yield server


def answer(api: ScriptedApi, ready: int, headers: bytes = b"") -> None:
    """A deployment with so many ready replicas, in the list and by itself."""
    chat: dict[str, Any] = {**item("dep_1", "chat"), "ready_replicas": ready}
    api.script[LIST] = Answer(listed(chat).body, headers=headers)
    api.script[ONE] = Answer(json.dumps(chat).encode(), headers=headers)


def polling(api: ScriptedApi, start: Start, fetch: str, **settings: Any) -> Process:
    """A daemon that has seen a first good answer."""
    settings |= {} if fetch == "list" else {"deployments": ["chat"]}
    daemon = started(start, project(api, **settings), project(api, "clock"))
    soon(lambda: page(daemon).value(READY, "chat") == 1, "it is shown", api, CLOCK)
    return daemon


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("fetch", ["list", "each"])
def test_a_cookie_is_not_kept_and_harms_no_poll(cookie: str, fetch: str, api: ScriptedApi, start: Start) -> None:
    answer(api, 1, COOKIES[cookie])
    daemon = polling(api, start, fetch)
    for ready in (2, 3):
        answer(api, ready, COOKIES[cookie])
        soon(lambda ready=ready: page(daemon).value(READY, "chat") == ready, "the next poll is shown", api, CLOCK)  # type: ignore[misc]  # one each
    assert page(daemon).value(SUCCESS, "chat") == 1
    assert page(daemon).total(FAILURES, project="p") == 0
    assert [head for head in api.heads() if "\ncookie:" in head.lower()] == []
    assert daemon.get("/-/ready").status_code == 200


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_location_that_cannot_be_read_is_a_failed_poll(
    location: str, status: str, api: ScriptedApi, start: Start
) -> None:
    answer(api, 1)
    daemon = polling(api, start, "each", poll_timeout="500ms")  # too short for a retry
    api.script[ONE] = Answer(b"{}", status, b"location: " + LOCATIONS[location] + b"\r\n")
    soon(lambda: page(daemon).value(SUCCESS, "chat") == 0, "the poll has failed", api, CLOCK)
    (reason,) = page(daemon).reasons("chat")
    assert reason in {"invalid_response", "connection", "internal_error"}
    assert page(daemon).value(READY, "chat") == 1, "the last state is kept"
    answer(api, 2)
    soon(lambda: page(daemon).value(READY, "chat") == 2, "it is well again", api, CLOCK)
    assert page(daemon).reasons("chat") == set()


@pytest.mark.parametrize("fetch", ["list", "each"])
def test_a_first_answer_that_cannot_be_read_does_not_keep_the_exporter_from_being_ready(
    fetch: str, api: ScriptedApi, start: Start
) -> None:
    redirect = Answer(b"{}", "301 Moved Permanently", b"location: http://xn--/\r\n")
    api.script |= {LIST: redirect, ONE: redirect}
    settings: dict[str, Any] = {} if fetch == "list" else {"deployments": ["chat"]}
    daemon = started(start, project(api, poll_timeout="500ms", **settings), project(api, "clock"))
    soon(lambda: daemon.get("/-/ready").status_code == 200, "every project has been polled", api, CLOCK)
    assert page(daemon).value("together_project_poll_success") == 0


def test_a_location_that_cannot_be_read_is_logged_once(api: ScriptedApi, start: Start) -> None:
    answer(api, 1)
    daemon = polling(api, start, "list", poll_timeout="500ms")
    since = len(daemon.log)
    api.script[LIST] = Answer(b"{}", "301 Moved Permanently", b"location: http://xn--/\r\n")
    soon(lambda: page(daemon).value("together_project_poll_success") == 0, "the list fails", api, CLOCK)
    polled(api, LIST, 5)
    about = [line for line in news(daemon, since) if "level=" in line]
    assert len(about) == 1
    assert "project=p" in about[0]
