"""An API of raw bytes on a real socket, and a client of it whose rate limit's time a test sets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from exporter.api.client import Client, Endpoint
from exporter.api.errors import ApiError
from exporter.api.rate_limit import RateLimit, Request
from exporter.api.reading import Reading, read_deployment

GOOD = b'{"name":"a"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n" + GOOD


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


@dataclass
class Setup:
    """A server, a client of it, and what was counted. `now`: the rate limit's time, in seconds."""

    api: Api
    counted: list[str] = field(default_factory=list)
    now: float = 0.0
    client: Client = field(init=False)

    async def get(self, path: str = "deployments/a", interval: float = 30.0) -> str:
        """The reason of a fetch, "ok" where it worked; "leak" where its text holds the key."""
        try:
            await self.client.fetch(Request(path), interval, read)
        except ApiError as error:
            return "leak" if "secret-key" in str(error) else error.reason
        return "ok"

    @property
    def requests(self) -> int:
        return len(self.api.requests)


async def read(body: bytes, _: float) -> Reading:
    return read_deployment(body)


async def secret_key() -> str:
    return "secret-key"


@contextlib.asynccontextmanager
async def opened(*answers: bytes, deadline: float = 20.0, rate: float = 1000.0) -> AsyncIterator[Setup]:
    api = Api(list(answers))
    server = await asyncio.start_server(api.accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    setup = Setup(api)
    limit = RateLimit(rate, lambda: setup.now)
    setup.client = Client(Endpoint("p", url, secret_key, deadline), limit, setup.counted.append)
    try:
        yield setup
    finally:
        await setup.client.close()
        server.close()
        await asyncio.gather(*api.handlers)


def reason_of(*answers: bytes, timeout: float = 20.0) -> tuple[str, int]:
    """The reason of a fetch that got these answers, and how many requests it took."""

    async def poll() -> tuple[str, int]:
        async with opened(*answers, deadline=timeout) as setup:
            return await setup.get(), setup.requests

    return asyncio.run(poll())
