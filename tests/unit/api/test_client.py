from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import stamina

from exporter.api import client as client_module
from exporter.api.client import HTTPX_ERRORS, MAX_BODY, Client, Endpoint
from exporter.api.errors import ERRORS, ApiError, PollTimeout, ServerError, Unauthorized
from exporter.api.rate_limit import RateLimit, Request
from tests.unit.api.server import GOOD, OK, answer, opened, read, reason_of, secret_key


@pytest.mark.parametrize(
    ("answers", "reason", "requests"),
    [
        pytest.param([OK], "ok", 1, id="good"),
        pytest.param([answer("503 Busy"), OK], "ok", 2, id="503 then good"),
        pytest.param([answer("503 Busy")], "server_error", 3, id="503"),
        pytest.param([answer("500 Oops")], "server_error", 3, id="500"),
        pytest.param([answer("400 Bad")], "server_error", 1, id="400"),
        pytest.param([answer("408 Slow")], "server_error", 3, id="408"),
        pytest.param([answer("409 Conflict")], "server_error", 3, id="409"),
        pytest.param([answer("599 Oops")], "server_error", 3, id="599"),
        pytest.param([answer("503 Busy"), answer("503 Busy"), OK], "ok", 3, id="two 503 then good"),
        pytest.param([answer("503 Busy"), answer("401 No")], "unauthorized", 2, id="503 then 401"),
        pytest.param([answer("401 No")], "unauthorized", 1, id="401"),
        pytest.param([answer("402 Pay")], "payment_required", 1, id="402"),
        pytest.param([answer("403 No")], "forbidden", 1, id="403"),
        pytest.param([answer("404 No")], "not_found", 1, id="404"),
        pytest.param([answer("429 Slow")], "rate_limited", 1, id="429"),
        pytest.param([answer("503 Busy", "retry-after: 36000\r\n")], "server_error", 1, id="503 for ten hours"),
        pytest.param([answer("429 Slow", "retry-after: 36000\r\n")], "rate_limited", 1, id="429 for ten hours"),
        pytest.param([answer("500 Oops", "x-should-retry: false\r\n")], "server_error", 1, id="x-should-retry: false"),
        pytest.param([answer("400 Bad", "x-should-retry: true\r\n")], "server_error", 3, id="x-should-retry: true"),
        pytest.param([answer("301 Moved", "location: http://127.0.0.2/\r\n")], "invalid_response", 1, id="redirect"),
        pytest.param([answer("302 Moved", "location: http://xn--/\r\n")], "invalid_response", 1, id="odd redirect"),
        pytest.param([answer("200 OK", "location: http://xn--/\r\n", GOOD)], "ok", 1, id="odd location of a 200"),
        pytest.param([b"HTTP/1.1 304 Not Modified\r\n\r\n"], "server_error", 1, id="304"),
        pytest.param([answer("200 OK", body=b"<html>")], "invalid_response", 1, id="html"),
        pytest.param([answer("200 OK", body=b"")], "invalid_response", 1, id="empty"),
        pytest.param([answer("200 OK", "content-encoding: gzip\r\n", b"nope")], "invalid_response", 1, id="no gzip"),
        pytest.param([answer("200 OK", "content-encoding: br\r\n")], "invalid_response", 1, id="unasked encoding"),
        pytest.param([b""], "connection", 3, id="hung up"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"], "connection", 3, id="hung up half way"),
        pytest.param([b"nonsense\r\n\r\n"], "connection", 3, id="not HTTP"),
    ],
)
def test_each_answer_has_its_reason_and_its_retries(answers: list[bytes], reason: str, requests: int) -> None:
    assert reason_of(*answers) == (reason, requests)


def test_the_deadline_is_over_the_whole_answer() -> None:
    assert reason_of(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{HANG", timeout=0.3) == ("timeout", 1)


def test_the_deadline_is_over_the_reading_too() -> None:
    async def never(_: bytes, __: float) -> None:
        await asyncio.Event().wait()

    async def poll() -> None:
        async with opened(OK, deadline=0.2) as setup:
            with pytest.raises(PollTimeout):
                await setup.client.fetch(Request("a"), 30.0, never)

    asyncio.run(poll())


def test_what_reads_is_told_the_deadline() -> None:
    async def poll() -> float:
        async def deadline_of(_: bytes, deadline: float) -> float:
            return deadline

        async with opened(OK, deadline=20.0) as setup:
            return await setup.client.fetch(Request("a"), 30.0, deadline_of)

    before = time.monotonic()
    assert before <= asyncio.run(poll()) - 20.0 <= time.monotonic()


def test_an_error_of_what_reads_is_not_tried_again() -> None:
    assert reason_of(answer("200 OK", body=b"{}"), OK) == ("invalid_response", 1)


BOMB = gzip.compress(b" " * (MAX_BODY + 1), 1)


def test_a_body_beyond_the_limit_is_refused_however_small_it_comes() -> None:
    assert reason_of(answer("200 OK", "content-encoding: gzip\r\n", BOMB)) == ("invalid_response", 1)


def test_a_compressed_body_is_read() -> None:
    assert reason_of(answer("200 OK", "content-encoding: gzip\r\n", gzip.compress(GOOD))) == ("ok", 1)


def test_every_request_is_counted_by_its_code() -> None:
    async def poll(*answers: bytes) -> list[str]:
        async with opened(*answers) as setup:
            await setup.get()
            return setup.counted

    assert asyncio.run(poll(answer("503 Busy"), b"", OK)) == ["503", "error", "200"]


def test_the_api_s_own_id_of_a_failed_request_is_kept() -> None:
    async def poll() -> str | None:
        async with opened(answer("400 Bad", "x-request-id: req-7\r\ncf-ray: other\r\n")) as setup:
            with pytest.raises(ServerError) as caught:
                await setup.client.fetch(Request("a"), 30.0, read)
            return caught.value.request_id

    assert asyncio.run(poll()) == "req-7"


COOKIES = ("set-cookie: a=b; path=/\r\n", "set-cookie: \xff=\xfe\r\n", "set-cookie: a=b; Max-Age=99999999999\r\n")


@pytest.mark.parametrize("cookie", COOKIES, ids=["plain", "not ASCII", "persistent"])
def test_no_cookie_is_kept(cookie: str) -> None:
    async def poll() -> tuple[list[str], list[bytes]]:
        answers = (answer("200 OK", cookie, GOOD), OK)
        async with opened(*answers) as setup:
            return [await setup.get() for _ in answers], setup.api.requests

    reasons, requests = asyncio.run(poll())
    assert reasons == ["ok", "ok"]
    assert not any(b"cookie" in request.lower() for request in requests)


SECONDS = "retry-after: 60\r\n"
MILLISECONDS = "retry-after-ms: 60000\r\n"


def polled(first: bytes, *polls: tuple[float, str]) -> list[tuple[str, int]]:
    """The reason and the number of requests of each poll, at these times and of these paths, after a first one of `a`
    at 0 that got this answer; later ones get a good one."""

    async def poll() -> list[tuple[str, int]]:
        async with opened(first, OK) as setup:
            outcomes = []
            for setup.now, path in ((0.0, "a"), *polls):
                before = setup.requests
                outcomes.append((await setup.get(path), setup.requests - before))
            return outcomes[1:]

    return asyncio.run(poll())


@pytest.mark.parametrize("header", [SECONDS, MILLISECONDS], ids=["seconds", "milliseconds"])
def test_a_429_with_retry_after_pauses_the_whole_project_for_so_long(header: str) -> None:
    paused, asked = ("rate_limited", 0), ("ok", 1)
    polls = ((1.0, "a"), (1.0, "b"), (59.9, "b"), (60.0, "b"), (60.0, "a"))
    assert polled(answer("429 Slow", header), *polls) == [paused, paused, paused, asked, asked]


def test_a_429_without_retry_after_leaves_out_the_next_poll() -> None:
    paused, asked = ("rate_limited", 0), ("ok", 1)
    polls = ((30.0, "a"), (30.0, "b"), (60.0, "a"), (90.0, "a"))
    assert polled(answer("429 Slow"), *polls) == [paused, paused, asked, asked]


def test_another_error_with_retry_after_pauses_its_own_path_only() -> None:
    polls = ((1.0, "a"), (1.0, "b"), (60.0, "a"))
    assert polled(answer("503 Busy", SECONDS), *polls) == [("server_error", 0), ("ok", 1), ("ok", 1)]


def test_ten_hours_are_five_minutes() -> None:
    polls = ((200.0, "a"), (300.0, "a"))
    assert polled(answer("429 Slow", "retry-after: 36000\r\n"), *polls) == [("rate_limited", 0), ("ok", 1)]


@pytest.mark.parametrize("status", ["429 Slow", "503 Busy"])
def test_after_a_short_pause_the_same_poll_tries_again(status: str) -> None:
    async def poll() -> tuple[str, int]:
        async with opened(answer(status, "retry-after-ms: 20\r\n"), OK) as setup:
            endpoint = setup.client._endpoint
            await setup.client.close()
            setup.client = Client(endpoint, RateLimit(1000.0, time.monotonic), setup.counted.append)
            return await setup.get(), setup.requests

    with stamina.set_testing(False):
        assert asyncio.run(poll()) == ("ok", 2)


def test_requests_keep_their_distance_retries_included() -> None:
    async def poll() -> float:
        async with opened(answer("503 Busy"), answer("503 Busy"), OK, rate=50.0) as setup:
            began = time.monotonic()
            assert await setup.get() == "ok"
            return time.monotonic() - began

    assert asyncio.run(poll()) >= 2 / 50.0


def test_a_retry_that_gets_no_turn_before_the_deadline_leaves_the_error_as_it_was() -> None:
    async def poll() -> tuple[str, int]:
        async with opened(answer("503 Busy", "retry-after-ms: 20\r\n"), OK, deadline=0.3) as setup:
            endpoint = setup.client._endpoint
            await setup.client.close()
            setup.client = Client(endpoint, RateLimit(0.01, time.monotonic), setup.counted.append)
            return await setup.get(), setup.requests

    with stamina.set_testing(False):
        assert asyncio.run(poll()) == ("server_error", 1)


def test_without_a_key_nothing_is_asked() -> None:
    async def no_key() -> str:
        raise Unauthorized("no valid API key: the file is empty")

    async def poll() -> tuple[str, int]:
        async with opened(OK) as setup:
            await setup.client.close()
            endpoint = replace(setup.client._endpoint, key=no_key)
            setup.client = Client(endpoint, RateLimit(1.0, time.monotonic), setup.counted.append)
            return await setup.get(), setup.requests

    assert asyncio.run(poll()) == ("unauthorized", 0)


def test_the_key_and_the_name_are_sent_as_the_api_wants_them() -> None:
    async def poll() -> bytes:
        async with opened(OK) as setup:
            await setup.get("deployments/..%2Fa%20b")
            return setup.api.requests[0]

    request = asyncio.run(poll())
    assert request.startswith(b"GET /v1/deployments/..%2Fa%20b HTTP/1.1\r\n")
    assert b"\r\nauthorization: bearer secret-key\r\n" in request.lower()


def test_a_query_is_encoded() -> None:
    async def poll() -> bytes:
        async with opened(OK) as setup:
            await setup.client.fetch(Request("queue/metrics", (("model", "a&b c"),)), 30.0, read)
            return setup.api.requests[0]

    assert asyncio.run(poll()).startswith(b"GET /v1/queue/metrics?model=a%26b")


@pytest.mark.parametrize("url", ["https://\xe9..x/v1", "http://a\x00b/v1", "https://[::/v1"], ids=repr)
def test_a_base_url_that_httpx_cannot_use_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Client(Endpoint("p", url, secret_key, 1.0), RateLimit(1.0, time.monotonic), print)


def test_retry_after_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)
    seconds = client_module._retry_after(httpx.Headers({"retry-after": date}))
    assert seconds == pytest.approx(120, abs=5)


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind} | {each for child in kind.__subclasses__() for each in subclasses(child)}


BASES = {httpx.HTTPError, httpx.RequestError, httpx.TransportError, httpx.HTTPStatusError}  # never raised by a request


@pytest.mark.parametrize("kind", [*sorted(subclasses(httpx.HTTPError) - BASES, key=str), httpx.InvalidURL])
def test_every_exception_of_httpx_becomes_one_of_ours(kind: type[Exception]) -> None:
    async def translated() -> None:
        async with client_module._translated():
            raise kind("what happened")

    with pytest.raises(ApiError, match=f"{kind.__name__}: what happened") as caught:
        asyncio.run(translated())
    error = caught.value
    assert error.reason in {"timeout", "connection", "invalid_response"}
    assert error.retryable is (error.reason == "connection")
    assert error.reason == "timeout" or not issubclass(kind, httpx.TimeoutException)


def test_no_entry_of_the_table_is_left_over() -> None:
    known = subclasses(httpx.HTTPError) | {httpx.InvalidURL}
    assert set(HTTPX_ERRORS) <= known
    assert set(HTTPX_ERRORS.values()) <= set(ERRORS)


def test_every_error_has_a_reason_of_its_own() -> None:
    assert set(ApiError.__subclasses__()) == set(ERRORS)
    assert len({error.reason for error in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "1" + "0" * 400}, None),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 99999 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_each_form(headers: dict[str, str], seconds: float | None) -> None:
    read: Callable[[httpx.Headers], float | None] = client_module._retry_after
    assert read(httpx.Headers(headers)) == seconds
