"""An API that misbehaves on demand, byte by byte, and counts who asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from tests.canaries import VARIABLE_VALUE

Misbehave = Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Misbehave

GOOD: dict[str, Any] = {
    "id": "dep_x",
    "name": "x",
    "status": "Ready",
    "ready_replicas": 3,
    "storage": 7,
    "environment_variables": [{"name": "DATABASE_URL", "value": VARIABLE_VALUE}],
    "replica_events": {"x-0": {"replica_status": "Running", "replica_ready_since": "2026-04-01T00:00:00Z"}},
}


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


def good(**more: Any) -> bytes:
    return http(json.dumps({**GOOD, **more}).encode())


def listed(*items: Mapping[str, Any] | bytes) -> bytes:
    """The list's answer; items are objects, or JSON that no serializer would write."""
    data = b",".join(item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)
    return http(b'{"object":"list","data":[' + data + b"]}")


class FaultyApi:
    """Answers by the first step of the path, the rest is ignored; what `answers` does not say is GOOD."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: defaultdict[str, list[str]] = defaultdict(list)  # the head of each, by the path's first step
        self._host, self._tls = host, tls
        self._loop = asyncio.new_event_loop()
        self._handlers: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def url(self, step: str, host: str = "") -> str:
        return f"{'https' if self._tls else 'http'}://{host or self._host}:{self.port}/{step}/v1"

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._answer(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first != b"G":
            writer.write(http(b"", "400 Bad Request"))  # as servers answer that are spoken to in TLS
            return
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        step = head.split(" ")[1].split("/")[1]
        self.requests[step].append(head)
        answer = self.answers.get(step, good())
        if callable(answer):
            await answer(writer)
        else:
            writer.write(answer)
            await writer.drain()
