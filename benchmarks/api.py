"""A minimal API server with fixed responses: `python -m benchmarks.api SIZE`; prints its address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from benchmarks.fleet import answer, deployment

ONE_PERCENT, ALL = "one-percent", "all"


class Api:
    """`GET /v1/deployments` returns the list, `/v1/deployments/NAME` one deployment; `/still`, `/one-percent` and
    `/all` set how much changes between responses."""

    def __init__(self, size: int) -> None:
        part = {"still": 0, ONE_PERCENT: max(size // 100, 1), ALL: size}
        self._answers = {name: [answer(size), answer(size, 1, changed)] for name, changed in part.items()}
        self._one = json.dumps(deployment(0)).encode()
        self._mode, self._turn = "still", 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = self._body(head.split(b" ")[1].decode().strip("/"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        writer.close()

    def _body(self, path: str) -> bytes:
        if path in self._answers:
            self._mode = path
            return b"{}"
        if path != "v1/deployments":
            return self._one
        self._turn += 1
        return self._answers[self._mode][self._turn % 2]


if __name__ == "__main__":
    asyncio.run(Api(int(sys.argv[1])).serve())
