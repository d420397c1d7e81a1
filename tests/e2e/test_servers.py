"""Responses that are odd and legal are read; redirects are not followed. The real daemon against raw bytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process
from tests.e2e.faulty_api import GOOD, FaultyApi, http

BODY = json.dumps(GOOD).encode()
HALVES = gzip.compress(BODY[:50]) + gzip.compress(BODY[50:])
END = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(BODY) + BODY
CHUNKS = b"5;name=value\r\n" + BODY[:5] + b"\r\n%X\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\nx-checksum: 1\r\n\r\n"

LEGAL = {
    "plain": b"HTTP/1.1 200 OK\r\n" + END,
    "gzip": http(gzip.compress(BODY), headers="content-encoding: gzip\r\n"),
    "gzip-in-two-members": http(HALVES, headers="content-encoding: gzip\r\n"),
    "x-gzip": http(gzip.compress(BODY), headers="content-encoding: x-gzip\r\n"),
    "gzip-in-capitals": http(gzip.compress(BODY), headers="Content-Encoding: GZIP\r\n"),
    "gzip-with-zeros-behind": http(gzip.compress(BODY) + b"\0" * 512, headers="content-encoding: gzip\r\n"),
    "identity": http(BODY, headers="content-encoding: identity\r\n"),
    "folded-header": b"HTTP/1.1 200 OK\r\nx-trace: one\r\n two\r\n\tthree\r\n" + END,
    "lower-case-reason": b"HTTP/1.1 200 ok\r\n" + END,
    "another-reason": b"HTTP/1.1 200 Tr\xe8s bien\r\n" + END,
    "empty-reason": b"HTTP/1.1 200 \r\n" + END,
    "no-reason": b"HTTP/1.1 200\r\n" + END,
    "bytes-above-ascii": b"HTTP/1.1 200 OK\r\nserver: caf\xe9 \xe2\x98\x95\r\n" + END,
    "empty-header": b"HTTP/1.1 200 OK\r\nx-empty:\r\n" + END,
    "blanks-around-values": b"HTTP/1.1 200 OK\r\nx-wide: \t wide \t \r\n" + END,
    "the-same-length-twice": b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(BODY) + END,
    "until-the-end": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "http-1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    "http-1.0-with-length": b"HTTP/1.0 200 OK\r\n" + END,
    "http-1.0-keep-alive": b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n"
    + END.replace(b"connection: close\r\n", b""),
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked-in-capitals": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + CHUNKS,
    "100-continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + END,
    "102-processing": b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\n" + END,
    "103-early-hints": b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n" + END,
    "203": b"HTTP/1.1 203 Non-Authoritative Information\r\n" + END,
}
REDIRECTS = {
    f"{status}-{kind}": f"HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    for status in (301, 302, 303, 307, 308)
    for kind, location in (
        ("to-another-host", "{other}/deployments/x"),
        ("to-another-path", "/stolen/v1/deployments/x"),
        ("to-itself", "x"),
    )
}
PROJECT = "  - {{name: '{}', base_url: '{}', deployments: [x], max_requests_per_second: 100}}\n"


@dataclass
class Polled:
    page: list[str]
    log: str
    stolen: list[str]  # requests that reached where a redirect points to

    def shows(self, metric: str, project: str, value: str, labels: str = "") -> bool:
        return f'{metric}{{deployment="x",project="{project}"{labels}}} {value}' in self.page


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    config = tmp_path_factory.mktemp("servers") / "together-exporter.yml"
    with ExitStack() as stack:
        api, other = stack.enter_context(FaultyApi()), stack.enter_context(FaultyApi("127.0.0.2"))
        api.answers.update(LEGAL)
        api.answers |= {name: text.format(other=other.url("stolen")).encode() for name, text in REDIRECTS.items()}
        projects = [PROJECT.format(name, api.url(name)) for name in (*LEGAL, *REDIRECTS)]
        config.write_text("poll_interval: 1s\npoll_timeout: 800ms\nprojects:\n" + "".join(projects))
        daemon = Process(
            ["serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0"], {"TOGETHER_API_KEY": API_KEY}
        )
        stack.callback(daemon.stop)
        until(lambda: daemon.get("/-/ready").status_code == 200, "each has been polled")
        until(lambda: len(api.requests["plain"]) > 1, "and again")
        stolen = [*other.requests["stolen"], *api.requests["stolen"]]
        yield Polled(daemon.metrics().splitlines(), daemon.log, stolen)


@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_response_is_read(name: str, polled: Polled) -> None:
    assert polled.shows("together_deployment_poll_success", name, "1.0"), polled.log
    assert polled.shows("together_deployment_replicas_ready", name, "3.0")


@pytest.mark.parametrize("name", REDIRECTS)
def test_a_redirect_is_not_followed(name: str, polled: Polled) -> None:
    assert polled.shows("together_deployment_poll_error", name, "1.0", ',reason="invalid_response"'), polled.log


def test_the_key_reaches_nobody_by_a_redirect(polled: Polled) -> None:
    assert polled.stolen == []
