"""Clients that misbehave, against the real server on a real socket."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator

import pytest
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.web.access import Access
from exporter.web.connection import MAX_HEADERS, Timeouts
from tests.conftest import until
from tests.unit.web.serving import LONG, PIECE, PIECES, SHORT, Web, reading, received, received_length

UPGRADE = SHORT[:-2] + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"

CONNECT = b"CONNECT x:1 HTTP/1.1\r\n\r\n"


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as running:
        yield running


@pytest.fixture
def impatient() -> Iterator[Web]:
    with Web(timeouts=Timeouts(request=0.2, response=0.5)) as running:
        yield running


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b"G"], id="sends one byte"),
        pytest.param([b"GET / HT"], id="sends half a line"),
        pytest.param([b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"], id="never ends its headers"),
        pytest.param([SHORT, b"GET / "], id="stops in its second request"),
        pytest.param([SHORT + b"GET / "], id="stops in a request sent ahead"),
    ],
)
def test_a_client_that_does_not_end_its_request_is_refused(sent: list[bytes], impatient: Web) -> None:
    with impatient.connect(*sent) as client:
        received(client)
    assert impatient.refused("slow_client") == 1
    assert impatient.get().status_code == 200


def test_a_connection_that_sends_nothing_is_closed_without_a_word(impatient: Web) -> None:
    before = impatient.metrics.live.collect()
    with structlog.testing.capture_logs() as lines, impatient.connect() as client:
        assert received(client) == b""
    with impatient.connect():  # a load balancer's probe
        pass
    assert impatient.get().status_code == 200
    assert lines == []
    assert list(impatient.metrics.live.collect()) == list(before)


def test_a_slow_reader_is_refused_after_a_while(impatient: Web) -> None:
    with reading(impatient, 2):
        until(lambda: impatient.refused("slow_client") == 2, "both are refused")
        assert impatient.get("/metrics").status_code == 200


@pytest.mark.parametrize("count", [2, 10_000])
def test_requests_sent_ahead_are_answered_one_after_the_other(count: int, web: Web) -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(count))
    with web.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(requests,))
        sender.start()
        answers = bytearray()
        while not answers.endswith(b"/%d is here.\n" % (count - 1)):
            answers += received_length(client, 1)
        sender.join()
    assert [int(path) for path in re.findall(rb"/(\d+) is here", answers)] == list(range(count))


def test_two_requests_sent_ahead_behind_a_long_page_wait_for_it(web: Web) -> None:
    with web.connect(LONG + SHORT * 2) as client:
        assert client.recv(1) == b"H"
        until(lambda: web.answered == 1, "the first is being answered")
        page = received_length(client, PIECES * len(PIECE))
        while page.count(b"is here.") < 2:
            page += client.recv(1 << 20)
    assert web.answered == 3


def test_a_client_that_hangs_up_half_way_frees_its_place(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    for ahead in (b"", SHORT, LONG * 1000):
        for _ in range(5):
            with web.connect(LONG + ahead) as client:
                assert client.recv(1) == b"H"
    until(lambda: web.get("/metrics").status_code == 200, "there is a place")
    assert caplog.records == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS // 4), id="many"),
        pytest.param(b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEADERS + b"\r\n\r\n", id="one long"),
        pytest.param(b"GET /" + b"b" * 2 * MAX_HEADERS, id="an endless path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a" * 2 * MAX_HEADERS, id="an endless name"),
        pytest.param(b"\r\n" * MAX_HEADERS, id="blank lines"),
    ],
)
def test_headers_have_a_limit(sent: bytes, web: Web) -> None:
    with web.connect(sent) as client:
        assert received(client).startswith(b"HTTP/1.1 431 ")
    assert web.refused("header_limit") == 1


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01nonsense\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n\r\n", SHORT.replace(b"\r\n", b"\n"), CONNECT]
)
def test_nonsense_is_refused_without_a_line_in_the_log(sent: bytes, web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as lines, web.connect(sent) as client:
        assert received(client).startswith(b"HTTP/1.1 400")
    assert (lines, caplog.records) == ([], [])
    assert web.get().status_code == 200


def test_a_client_that_asks_for_another_protocol_is_answered_in_this_one(web: Web) -> None:
    with web.connect(UPGRADE) as client:
        assert received(client).startswith(b"HTTP/1.1 200 OK")


def test_a_body_that_nobody_reads_does_no_harm(web: Web) -> None:
    head = b"POST /-/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    with web.connect(head, b"GET / HTTP/1.1\r\n\r\n" * 50_000) as client:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    assert web.get().status_code == 200
    assert web.answered == 2


def test_a_connection_is_kept_for_the_next_request(web: Web) -> None:
    with web.connect() as client:
        for _ in range(3):
            client.sendall(SHORT)
            answer = client.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"\r\ndate: " in answer


def test_an_idle_connection_ends_without_a_word() -> None:
    with Web(timeouts=Timeouts(keep_alive=1)) as web, web.connect(SHORT) as client:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        with structlog.testing.capture_logs() as lines:
            received(client)
        assert (lines, web.refused("slow_client")) == ([], 0)


def test_stopping_leaves_a_response_its_time_and_ends_slow_readers(caplog: pytest.LogCaptureFixture) -> None:
    with Web(timeouts=Timeouts(shutdown=0.3)) as web, reading(web, 2) as (slow, _), web.connect(b"GET / ") as half:
        web.stop()
        assert received(half) == b""
        assert len(received(slow)) < PIECES * len(PIECE)
    assert caplog.records == []


def test_stopping_does_not_wait_for_idle_clients() -> None:
    with Web(timeouts=Timeouts(shutdown=3600)) as web, web.connect() as silent, web.connect(SHORT) as kept:
        assert kept.recv(15) == b"HTTP/1.1 200 OK"
        web.stop()
        assert received(silent) == b""


def test_every_response_carries_the_security_headers_and_the_configured_ones(web: Web) -> None:
    web.access = Access(headers={"X-Frame-Options": "sameorigin", "Strict-Transport-Security": "max-age=1"})
    headers = web.get().headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "sameorigin")
    assert headers["strict-transport-security"] == "max-age=1"


def test_the_rate_limit(web: Web) -> None:
    web.access = Access(rate=(3600.0, 2))
    assert [web.get().status_code for _ in range(3)] == [200, 200, 429]
    assert web.refused("rate_limit") == 1


def test_what_uvicorn_must_have() -> None:
    """Names that exporter.web.connection overrides or uses, none of which is public."""
    methods = {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "on_headers_complete": ["self"],
        "on_response_complete": ["self"],
        "shutdown": ["self"],
    }
    assert {name: list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters) for name in methods} == methods
    source = inspect.getsource(HttpToolsProtocol)
    for attribute in ("transport", "flow", "cycle", "parser", "loop", "server_state"):
        assert f"self.{attribute}" in source
    assert "default_headers=self.server_state.default_headers" in source
    arguments = ("config", "server_state", "app_state")
    assert set(arguments) <= set(inspect.signature(HttpToolsProtocol).parameters)
    cycle = inspect.getsource(RequestResponseCycle)
    for attribute in ("keep_alive", "more_body", "response_complete"):
        assert f"self.{attribute}" in cycle
    assert {"pause_reading", "resume_reading"} <= vars(FlowControl).keys()
    assert {"connections", "tasks", "default_headers"} <= vars(ServerState()).keys()
