"""API keys from files that rotate, hang or hold something else."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.settings.keys import KeyReader, KeySource, KeyUnusable

SECRET = "sk-very-secret"


@pytest.mark.parametrize("content", ["sk-1", "sk-1\n", " sk-1 \r\n", "\ufeffsk-1"])
def test_a_key_is_stripped(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content, encoding="utf-8")
    assert KeySource(file=str(tmp_path / "key")).read() == "sk-1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty; write the project's API key to it"),
        (b" \n", "is empty"),
        (f"KEY={SECRET} x".encode(), "contains characters not allowed in an API key"),
        (f"{SECRET}\n{SECRET}".encode(), "contains characters not allowed in an API key"),
        ("sk-é".encode(), "contains characters not allowed in an API key"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (f'"{SECRET}"'.encode(), "has quotes around its value"),
        (b"${TOGETHER_API_KEY}", "contains an unexpanded variable reference"),
        (b"x" * 100_000, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_key_is_named_and_not_quoted(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyUnusable) as caught:
        KeySource(file=str(tmp_path / "key")).read()
    assert str(caught.value).startswith(f"{tmp_path / 'key'} {reason}")
    assert SECRET not in str(caught.value)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    with pytest.raises(KeyUnusable, match="is a pipe; name a regular file"):
        KeySource(file=str(tmp_path / "key")).read()


def test_a_reader_reads_each_time(tmp_path: Path) -> None:
    async def run() -> list[str]:
        reader = KeyReader(KeySource(file=str(tmp_path / "key")))
        keys = []
        for key in ("one", "two"):
            (tmp_path / "key").write_text(key)
            keys.append(await reader.read())
        (tmp_path / "key").unlink()
        with pytest.raises(KeyUnusable):
            await reader.read()
        return keys

    assert asyncio.run(run()) == ["one", "two"]


def test_a_reader_of_a_value_needs_no_file() -> None:
    assert asyncio.run(KeyReader(KeySource(value=SecretStr("k"))).read()) == "k"


class Hanging(KeySource):
    """A file on a network file system that is gone, until it is back."""

    reads = 0
    back = threading.Event()

    def read(self) -> str:
        Hanging.reads += 1
        assert self.back.wait(30)
        return "k"


def test_a_file_that_hangs_holds_one_thread_and_no_loop() -> None:
    async def run() -> list[object]:
        reader = KeyReader(Hanging(file="gone"))
        given_up = [asyncio.create_task(reader.read()) for _ in range(10)]
        async with asyncio.timeout(30):
            await asyncio.sleep(0)  # the loop goes on
            for task in given_up:
                task.cancel()
            await asyncio.wait(given_up)
            waiting = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            Hanging.back.set()
            return [await waiting, all(task.cancelled() for task in given_up), Hanging.reads]

    assert asyncio.run(run()) == ["k", True, 1]
