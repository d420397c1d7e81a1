from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import pytest
import structlog

from exporter.log import FLUSH_TIMEOUT, LEVELS, MAX_QUEUED, LineWriter, LogFormat, configure
from tests.conftest import until

PIPE_SIZE = 4096  # bytes; the least


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Its reading and its writing end."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    with open(read, "rb", buffering=0) as reader, open(write, "wb", buffering=0) as writer:
        yield reader, writer


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging as pytest has it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # A test that ran an App may have left it on, for a `showwarning` that is gone.
    logging.captureWarnings(capture=False)
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@contextlib.contextmanager
def writing(fd: int | None) -> Iterator[LineWriter]:
    writer = LineWriter(fd)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


def written(pipe: tuple[BinaryIO, BinaryIO], *lines: str) -> list[str]:
    with writing(pipe[1].fileno()) as writer:
        for line in lines:
            writer.write(line)
    return rest(pipe).splitlines()


def rest(pipe: tuple[BinaryIO, BinaryIO]) -> str:
    """What has been written, also if that is nothing."""
    pipe[1].close()
    return pipe[0].read(PIPE_SIZE).decode()


def test_lines_are_written_in_their_order_before_the_end(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    lines = [f"line {n}" for n in range(100)]
    assert written(pipe, *(f"{line}\n" for line in lines)) == lines


def test_what_cannot_be_encoded_is_escaped(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    assert written(pipe, "a\ud800b\n") == [r"a\ud800b"]


def test_a_reader_that_does_not_read_blocks_nobody(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    line = "x" * 99 + "\n"
    in_the_pipe = PIPE_SIZE // len(line)
    writer = LineWriter(pipe[1].fileno())
    writer.start()
    for _ in range(in_the_pipe + MAX_QUEUED + 100):
        writer.write(line)
    assert 0 < writer.dropped <= 100 + in_the_pipe
    dropped, began = writer.dropped, time.monotonic()
    writer.close()
    assert time.monotonic() - began < 2 * FLUSH_TIMEOUT
    data = b""
    while data.count(b"\n") < MAX_QUEUED:  # and when somebody reads again, what waits is written
        data += pipe[0].read(PIPE_SIZE)
    assert set(data.decode().splitlines()) == {line.strip()}
    assert writer.dropped == dropped


def test_a_pipe_that_another_process_has_made_non_blocking(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    os.set_blocking(pipe[1].fileno(), False)
    with writing(pipe[1].fileno()) as writer:
        for _ in range(2 * PIPE_SIZE // 100):
            writer.write("x" * 99 + "\n")
        data = b""
        while data.count(b"\n") < 2 * PIPE_SIZE // 100:
            data += pipe[0].read(PIPE_SIZE)
        assert writer.dropped == 0


def test_a_reader_that_has_left_is_counted(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    pipe[0].close()
    with writing(pipe[1].fileno()) as writer:
        for _ in range(3):
            writer.write("line\n")
        until(lambda: writer.dropped == 3, "each is counted")


def test_a_full_disk_is_counted() -> None:
    with open("/dev/full", "wb", buffering=0) as full, writing(full.fileno()) as writer:
        for _ in range(3):
            writer.write("line\n")
        until(lambda: writer.dropped == 3, "each is counted")


def test_without_a_stderr_every_line_is_counted() -> None:
    with writing(None) as writer:
        writer.write("line\n")
        assert writer.dropped == 1


@pytest.mark.parametrize("format_", ["logfmt", "json"])
def test_lines_have_the_level_names_of_the_flag(format_: LogFormat, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    with writing(pipe[1].fileno()) as writer:
        configure("debug", format_, writer)
        log = structlog.get_logger()
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("ours")
        logging.getLogger("other").warning("theirs")
        logging.getLogger("other").critical("theirs")
    lines = rest(pipe).splitlines()
    levels = [json.loads(line)["level"] if format_ == "json" else re.findall(r"level=(\w+)", line)[0] for line in lines]
    assert levels == [*LEVELS, "error", "warn", "error"]


def test_warnings_of_python_are_lines_too(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    with warnings.catch_warnings(), writing(pipe[1].fileno()) as writer:
        configure("info", "logfmt", writer)
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "level=warn" in rest(pipe)
