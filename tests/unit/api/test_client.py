from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from exporter.api import client as client_module
from exporter.api.client import HTTPX_ERRORS, Client, Endpoint
from exporter.api.errors import ERRORS, ApiError, RateLimited
from exporter.instrumentation import Instrumentation

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n" + b'{"name":"a"}'


def answer(status: str, headers: str = "", body: bytes = b"{}") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


class Api:
    """Answers connection after connection with the next of the given bytes; the last one stays."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers, self.requests = answers, list[bytes]()
        self.handlers: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            if answer.endswith(b"HANG"):
                await reader.read()
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def opened(*answers: bytes, deadline: float = 20.0) -> AsyncIterator[tuple[Api, Client]]:
    api = Api(list(answers))
    server = await asyncio.start_server(api.accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async def key() -> str:
        return "secret-key"

    client = Client(Endpoint("p", url, key, deadline, 1000), Instrumentation(runtime=False))
    try:
        yield api, client
    finally:
        await client.close()
        server.close()
        await asyncio.gather(*api.handlers)


def reason_of(*answers: bytes, timeout: float = 20.0) -> tuple[str, int]:
    """The reason of a poll that got these answers ("ok" where it worked), and how many requests it took."""

    async def poll() -> tuple[str, int]:
        async with opened(*answers, deadline=timeout) as (api, client):
            try:
                await client.deployment("a")
            except ApiError as error:
                leaks = "secret-key" in str(error)
                return "leak" if leaks else error.reason, len(api.requests)
            return "ok", len(api.requests)

    return asyncio.run(poll())


@pytest.mark.parametrize(
    ("answers", "reason", "requests"),
    [
        pytest.param([OK], "ok", 1, id="good"),
        pytest.param([answer("503 Busy"), OK], "ok", 2, id="503 then good"),
        pytest.param([answer("503 Busy")], "server_error", 3, id="503"),
        pytest.param([answer("500 Oops")], "server_error", 3, id="500"),
        pytest.param([answer("400 Bad")], "server_error", 1, id="400"),
        pytest.param([answer("408 Slow")], "server_error", 3, id="408"),
        pytest.param([answer("401 No")], "unauthorized", 1, id="401"),
        pytest.param([answer("403 No")], "forbidden", 1, id="403"),
        pytest.param([answer("404 No")], "not_found", 1, id="404"),
        pytest.param([answer("429 Slow")], "rate_limited", 3, id="429"),
        pytest.param([answer("429 Slow", "retry-after: 36000\r\n")], "rate_limited", 1, id="429 for ten hours"),
        pytest.param([answer("500 Oops", "x-should-retry: false\r\n")], "server_error", 1, id="told not to retry"),
        pytest.param([answer("400 Bad", "x-should-retry: true\r\n")], "server_error", 3, id="told to retry"),
        pytest.param([answer("301 Moved", "location: http://127.0.0.2/\r\n")], "invalid_response", 1, id="redirect"),
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


def test_a_body_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY", 100)
    assert reason_of(answer("200 OK", body=b" " * 101)) == ("invalid_response", 1)


def test_while_the_api_wants_quiet_it_is_not_asked() -> None:
    async def poll() -> int:
        async with opened(answer("429 Slow", "retry-after: 36000\r\n")) as (api, client):
            for _ in range(3):
                with pytest.raises(RateLimited):
                    await client.deployment("a")
            return len(api.requests)

    assert asyncio.run(poll()) == 1


def test_the_key_and_the_name_are_sent_as_the_api_wants_them() -> None:
    async def poll() -> bytes:
        async with opened(OK) as (api, client):
            await client.deployment("../a b")
            return api.requests[0]

    request = asyncio.run(poll())
    assert request.startswith(b"GET /v1/deployments/..%2Fa%20b HTTP/1.1\r\n")
    assert b"\r\nauthorization: bearer secret-key\r\n" in request.lower()


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind} | {each for child in kind.__subclasses__() for each in subclasses(child)}


def test_every_exception_of_httpx_is_mapped() -> None:
    bases = {httpx.HTTPError, httpx.RequestError, httpx.TransportError, httpx.HTTPStatusError}
    for kind in subclasses(httpx.HTTPError) - bases:
        assert any(ancestor in HTTPX_ERRORS for ancestor in kind.__mro__), kind


def test_every_error_has_a_reason_of_its_own() -> None:
    assert subclasses(ApiError) - {ApiError} == set(ERRORS)
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
        ({}, None),
    ],
)
def test_retry_after_in_each_form(headers: dict[str, str], seconds: float | None) -> None:
    read: Callable[[httpx.Headers], float | None] = client_module._retry_after
    assert read(httpx.Headers(headers)) == seconds
