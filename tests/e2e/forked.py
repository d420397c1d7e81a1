"""Runs a command in a fork of a process that has already imported the exporter; the import takes most of a short
test's time. A fork differs in what an interpreter does when it starts: imports, hash seed, PYTHON* and LANG."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import IO

from exporter.cli import start

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["exporter.app", "exporter.cli.check", "exporter.cli.commands", "exporter.cli.shown", __name__]
)


class ForkedProcess:
    """The part of `subprocess.Popen` that the tests use. Output is piped; stderr may be merged into stdout."""

    _lock = threading.Lock()  # multiprocessing looks at its processes also when one starts, and not from threads

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], *, is_merged: bool) -> None:
        output, theirs = _context.Pipe(duplex=False)
        errors, their_errors = (output, theirs) if is_merged else _context.Pipe(duplex=False)
        process = _context.Process(target=_run, args=(arguments, dict(environment), theirs, their_errors))
        with self._lock:
            process.start()
        self._process = process
        theirs.close()
        their_errors.close()
        self.stdout = _opened(output)
        self.stderr = None if is_merged else _opened(errors)
        assert process.pid is not None
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        with self._lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("exporter", timeout or 0.0)
        return code

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All that it writes. Raises TimeoutExpired if it is killed for taking longer."""
        streams = [self.stdout, *([self.stderr] if self.stderr else [])]
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        try:
            with ThreadPoolExecutor() as pool:
                texts = [*pool.map(lambda stream: stream.read(), streams), ""]
            if self.wait() == -signal.SIGKILL:
                raise subprocess.TimeoutExpired("exporter", timeout)
        finally:
            timer.cancel()
            for stream in streams:
                stream.close()
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _opened(pipe: Connection) -> IO[str]:
    stream = os.fdopen(os.dup(pipe.fileno()), encoding="utf-8")
    pipe.close()
    return stream


def _run(arguments: Sequence[str], environment: Mapping[str, str], output: Connection, errors: Connection) -> None:
    for number, pipe in ((1, output), (2, errors)):
        os.dup2(pipe.fileno(), number)
    output.close()
    errors.close()
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["exporter", *arguments]
    gc.freeze()  # what the parent imported, which is never collected, stays shared
    start.main()
