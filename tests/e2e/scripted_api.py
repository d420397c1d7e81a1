"""A fake API that answers each path as the test says, changes its answers while it runs, and keeps all requests."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.faulty_api import FaultyApi

GATE_CHECK = 0.005  # s; how often a held answer looks at its gate


@dataclass(frozen=True)
class Answer:
    """`headers`: raw lines, each ended by CRLF. `gate`: half of the body is sent, the rest when the gate opens.
    `hangs`: nothing is ever sent."""

    body: bytes = b"{}"
    status: str = "200 OK"
    headers: bytes = b""
    gate: threading.Event | None = None
    hangs: bool = False


@dataclass(frozen=True)
class Request:
    """`at` is monotonic seconds, `head` the request line and the headers."""

    at: float
    head: str


Script = Answer | Callable[[int], Answer]  # a callable gets the number of the request on this path, from 1
HANG = Answer(hangs=True)
NOT_FOUND = Answer(b'{"error": {"message": "not found"}}', "404 Not Found")


def refusal(status: str, headers: str = "") -> Answer:
    return Answer(b'{"error": {"message": "no"}}', status, headers.encode())


def item(id_: str, name: str, **more: Any) -> dict[str, Any]:
    """A deployment that is well."""
    return {"id": id_, "name": name, "status": "Ready", "ready_replicas": 1, "desired_replicas": 1, **more}


def one(id_: str, name: str, **more: Any) -> Answer:
    return Answer(json.dumps(item(id_, name, **more)).encode())


def listed(*items: dict[str, Any] | bytes, **more: Any) -> Answer:
    """`more`: further keys of the list itself; an item may be raw JSON."""
    data = b",".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in items)
    rest = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in more.items())
    return Answer(b'{"object": "list", "data": [' + data + b"]" + rest.encode() + b"}")


class ScriptedApi(FaultyApi):
    """Paths are `project/deployments/chat`, the query included; what the script lacks is a 404."""

    def __init__(self) -> None:
        super().__init__()
        self.script: dict[str, Script] = {}
        self.asked: defaultdict[str, list[Request]] = defaultdict(list)  # by path

    def count(self, path: str) -> int:
        return len(self.asked[path])

    def counts(self, part: str) -> int:
        """Requests to all paths that begin so."""
        return sum(len(requests) for path, requests in list(self.asked.items()) if path.startswith(part))

    def heads(self) -> list[str]:
        return [request.head for requests in list(self.asked.values()) for request in requests]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ")[1].lstrip("/").replace("/v1/", "/", 1)
        self.asked[path].append(Request(time.monotonic(), head))
        script = self.script.get(path, NOT_FOUND)
        await _send(script(self.count(path)) if callable(script) else script, writer)


async def _send(answer: Answer, writer: asyncio.StreamWriter) -> None:
    if answer.hangs:
        await asyncio.Event().wait()
    length = f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
    writer.write(f"HTTP/1.1 {answer.status}\r\n".encode() + answer.headers + length.encode())
    half = len(answer.body) // 2 if answer.gate else 0
    writer.write(answer.body[:half])
    while answer.gate is not None and not answer.gate.is_set():  # noqa: ASYNC110 - the gate is the test's thread's
        await asyncio.sleep(GATE_CHECK)
    writer.write(answer.body[half:])
    await writer.drain()
