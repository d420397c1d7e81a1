"""Every way in which the API, or what is in between, may fail a poll: what it does, and the reason it must be given."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.canaries import API_KEY, VARIABLE_VALUE
from tests.e2e.faulty_api import Answer, Misbehave, good, http

MANY = 100_000  # how often something endless is repeated; by then the deadline has passed
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@dataclass(frozen=True)
class Fault:
    """`reason`: the label that the failed poll must have. `says`: what its log line must name. `slow`: needs more than
    a moment. `quiet`: the API asked to be left alone, so that the end of the fault is not noticed at once."""

    id: str
    answer: Answer
    reason: str
    says: str
    slow: bool = False
    quiet: bool = False


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Misbehave:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(MANY):
            writer.write(piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)

    return send


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.write(JSON_HEAD + b"content-length: 1000\r\n\r\n{")
    await writer.drain()
    linger = struct.pack("ii", 1, 0)  # closing sends RST
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


def limited(name: str, header: str, *, quiet: bool = True) -> Fault:
    return Fault(f"429-{name}", http(b"{}", "429 Slow", header), "rate_limited", "HTTP 429", quiet=quiet)


def refused(status: str, reason: str = "server_error", name: str = "", headers: str = "") -> Fault:
    code = status.split(maxsplit=1)[0]
    body = f'{{"error": "{API_KEY} {VARIABLE_VALUE}"}}'.encode()  # a body may hold anything, and must be quoted nowhere
    return Fault(name or code, http(body, status, headers), reason, f"HTTP {code}")


def unreadable(name: str, body: bytes, says: str, headers: str = "") -> Fault:
    return Fault(name, http(body, headers=headers), "invalid_response", says)


TOMORROW = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
BOMB = gzip.compress(b" " * 2**20, 9) * 200  # members, because one of 200 MiB takes long to make
NOT_JSON = "response is not JSON"

FAULTS = (
    Fault("reset-in-the-body", reset, "connection", "Connection reset by peer"),
    Fault("hung-up", b"", "connection", "disconnected"),
    Fault("hung-up-in-the-head", b"HTTP/1.1 200 OK\r\ncontent-", "connection", "disconnected"),
    Fault("silence", silence, "timeout", "no complete response within"),
    Fault("a-byte-every-100ms", endless(JSON_HEAD + b"\r\n", b" ", 0.1), "timeout", "no complete response within"),
    Fault("head-without-end", endless(JSON_HEAD, b"a: b\r\n", 0.05), "timeout", "no complete response within"),
    Fault("head-without-limit", endless(JSON_HEAD, b"a: b\r\n" * 1000), "connection", "RemoteProtocolError"),
    Fault("continue-without-end", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), "timeout", "no complete"),
    Fault("body-without-end", endless(JSON_HEAD + b"\r\n", b" " * 2**20), "invalid_response", "exceeds", slow=True),
    Fault("gzip-bomb", http(BOMB, headers="content-encoding: gzip\r\n"), "invalid_response", "exceeds", slow=True),
    Fault("50-mb", http(b"[" + b"7," * 25 * 2**20 + b"7]"), "invalid_response", "exceeds 1,048,576", slow=True),
    Fault("length-too-long", JSON_HEAD + b"content-length: 99999\r\n\r\n{}", "connection", "RemoteProtocolError"),
    Fault(
        "length-too-short",
        good().replace(b"content-length: ", b"content-length: 5\r\nx: "),
        "invalid_response",
        NOT_JSON,
    ),
    Fault("length-nonsense", JSON_HEAD + b"content-length: many\r\n\r\n{}", "connection", "RemoteProtocolError"),
    Fault(
        "chunk-nonsense", JSON_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "connection", "RemoteProtocolError"
    ),
    Fault("not-http", b"SSH-2.0-OpenSSH_9.7\r\n\r\n", "connection", "RemoteProtocolError"),
    Fault("status-nonsense", b"HTTP/1.1 OK fine\r\n\r\n", "connection", "RemoteProtocolError"),
    unreadable("html", b"<!doctype html><title>Sign in</title>", NOT_JSON),
    unreadable("nothing", b"", NOT_JSON),
    unreadable("cut-off", good()[good().index(b"{") : -9], NOT_JSON),
    unreadable("a-list", b"[]", "JSON list"),
    unreadable("a-number", b"42", "JSON int"),
    unreadable("a-string", b'"x"', "JSON str"),
    unreadable("null", b"null", "JSON NoneType"),
    unreadable("nan", b"NaN", "JSON float"),
    unreadable("an-empty-object", b"{}", "no field of a deployment"),
    unreadable("an-error-in-a-200", b'{"error": {"message": "no"}}', "no field of a deployment"),
    unreadable("lists-10000-deep", b"[" * 10_000 + b"]" * 10_000, NOT_JSON),
    unreadable("objects-10000-deep", b'{"volumes":' * 10_000 + b"1" + b"}" * 10_000, NOT_JSON),
    unreadable("no-gzip", b"nope", "is gzip, but the body is not", "content-encoding: gzip\r\n"),
    unreadable("gzip-cut-off", gzip.compress(good())[:-20], "truncated gzip body", "content-encoding: gzip\r\n"),
    unreadable(
        "gzip-twice",
        gzip.compress(gzip.compress(b"{}")),
        "unsupported content-encoding",
        "content-encoding: gzip, gzip\r\n",
    ),
    unreadable("brotli", b"{}", "unsupported content-encoding", "content-encoding: br\r\n"),
    Fault("204", b"HTTP/1.1 204 No Content\r\n\r\n", "invalid_response", NOT_JSON),
    Fault("304", b"HTTP/1.1 304 Not Modified\r\n\r\n", "server_error", "HTTP 304"),
    refused("400 Bad Request"),
    refused("401 Unauthorized", "unauthorized"),
    refused("402 Payment Required", "payment_required"),
    refused("403 Forbidden", "forbidden"),
    refused("404 Not Found", "not_found"),
    refused("408 Request Timeout"),
    refused("409 Conflict"),
    refused("500 Internal Server Error"),
    refused("502 Bad Gateway"),
    refused("503 Service Unavailable"),
    refused("504 Gateway Timeout"),
    refused("599 Whatever"),
    refused("500 Oops", name="500-not-to-be-retried", headers="x-should-retry: false\r\n"),
    refused("400 Oops", name="400-to-be-retried", headers="x-should-retry: true\r\n"),
    limited("bare", "", quiet=False),
    limited("seconds", "retry-after: 60\r\n"),
    limited("half-a-second", "retry-after: 0.5\r\n", quiet=False),
    limited("milliseconds", "retry-after-ms: 500\r\n", quiet=False),
    limited("tomorrow", f"retry-after: {TOMORROW}\r\n"),
    limited("ten-hours", "retry-after: 36000\r\n"),
    limited("long-ago", "retry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n", quiet=False),
    limited("negative", "retry-after: -5\r\n", quiet=False),
    limited("nonsense", "retry-after: soon\r\n", quiet=False),
    limited("infinity", "retry-after: inf\r\n", quiet=False),
    limited("400-digits", f"retry-after: 1{'0' * 400}\r\n", quiet=False),
)
