"""Attacks for the soak: pipelined requests, guessed passwords, a log that is not read."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import socket
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

USER, PASSWORD = "soak", "soak"
SCRAPER = {"Authorization": f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
ATTACK_LASTS = 5.0  # s
CONNECTIONS = 20  # of each kind of request; with the scrapers fewer than `web.max_requests`
SENT_AHEAD = 256 * 2**10  # bytes on each connection
GUESSERS = 10
GUESS_EVERY = 0.05  # s; without a pause this would measure the processor
GUESSER = "127.0.0.2"  # another address than the scrapers'
PIPE_SIZE = 4096  # bytes; the smallest, so that it is full at once


@dataclass
class Attacks:
    """`sent`: bytes of pipelined requests. `guesses`: by the status of the response, 0 without one."""

    sent: int = 0
    guesses: Counter[int] = field(default_factory=Counter)


def web_config(folder: Path) -> Path:
    """A web configuration with one user and a password hash at the usual cost."""
    file = folder / "web.yml"
    file.write_text(
        f"basic_auth_users: {{{USER}: '{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()}'}}\n"
    )
    return file


def pipeline(web: str, seen: Attacks, stop: threading.Event) -> None:
    """Sends requests ahead on many connections, reads no response, and resets all of them in the end."""
    password = f"Authorization: {SCRAPER['Authorization']}\r\n"
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: soak\r\n{header}\r\n".encode()
        for path, header in (("/metrics", password), ("/metrics", ""), ("/-/healthy", password))
    ]
    end = time.monotonic() + ATTACK_LASTS
    with contextlib.ExitStack() as stack:
        unsent = {}
        for request in requests * CONNECTIONS:
            client = stack.enter_context(socket.create_connection(_address(web), timeout=10))
            client.setblocking(False)
            unsent[client] = request * (SENT_AHEAD // len(request))
        while time.monotonic() < end and not stop.wait(0.05):
            for client, data in unsent.items():
                with contextlib.suppress(OSError):
                    count = client.send(data)
                    unsent[client] = data[count:]
                    seen.sent += count


def guess(web: str, seen: Attacks, stop: threading.Event) -> None:
    """Many clients of one address try one password after the other."""
    end = time.monotonic() + ATTACK_LASTS

    def try_passwords(number: int) -> None:
        connection = http.client.HTTPConnection(web, timeout=10, source_address=(GUESSER, 0))
        while time.monotonic() < end and not stop.wait(GUESS_EVERY):
            password = b64encode(f"{USER}:{number}-{time.monotonic()}".encode()).decode()
            try:
                connection.request("GET", "/metrics", headers={"Authorization": f"Basic {password}"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                seen.guesses[0] += 1
            else:
                seen.guesses[response.status] += 1
        connection.close()

    threads = [threading.Thread(target=try_passwords, args=(number,)) for number in range(GUESSERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class LogPipe:
    """Copies what a process writes to `stderr` into a file, except while `reading` is not set."""

    def __init__(self, file: Path) -> None:
        self._read, self.stderr = os.pipe()
        fcntl.fcntl(self.stderr, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._file = file
        self.reading = threading.Event()
        self.reading.set()

    def copy(self) -> None:
        with self._file.open("wb") as file:
            while data := os.read(self._read, PIPE_SIZE):
                file.write(data)
                self.reading.wait()
        os.close(self._read)


@contextlib.contextmanager
def log_pipe(file: Path) -> Iterator[LogPipe]:
    """Its copy is complete at the end, where the process has ended."""
    pipe = LogPipe(file)
    thread = threading.Thread(target=pipe.copy)
    thread.start()
    try:
        yield pipe
    finally:
        os.close(pipe.stderr)
        pipe.reading.set()
        thread.join()


def _address(web: str) -> tuple[str, int]:
    host, _, port = web.rpartition(":")
    return host, int(port)
