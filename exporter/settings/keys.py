"""Reads API keys from their sources. Never prints a key."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from exporter.settings.textfile import Unreadable, read_text
from exporter.settings.values import mistake

MAX_KEY_FILE = 64 * 2**10  # bytes


class KeyUnusable(Exception):
    """The API key is missing or invalid. The message gives the reason and never contains the key."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """Source of a key: a file, which is read for each request so that the key can be rotated, or a fixed value."""

    file: str | None = None
    value: SecretStr | None = field(default=None, repr=False)

    def read(self) -> str:
        """Returns the key. Raises KeyUnusable."""
        if self.file is None:
            return _checked(self.value.get_secret_value() if self.value else "", "the API key")
        try:
            return _checked(read_text(self.file, MAX_KEY_FILE), self.file)
        except Unreadable as error:
            raise KeyUnusable(f"{self.file} {error}") from None


class KeyReader:
    """Reads a project's key in a thread. While a read hangs, for example on a network file system, all callers wait for
    that read instead of starting more."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self._reading: asyncio.Future[str] | None = None

    async def read(self) -> str:
        """Returns the key. Raises KeyUnusable."""
        if self._source.file is None:
            return self._source.read()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_future()
            self._reading.add_done_callback(lambda future: future.cancelled() or future.exception())  # as retrieved
            threading.Thread(target=self._read, args=(self._reading,), name="key reader", daemon=True).start()
        return await asyncio.shield(self._reading)

    def _read(self, future: asyncio.Future[str]) -> None:
        try:
            key = self._source.read()
        except Exception as error:
            _settle(future, functools.partial(future.set_exception, error))
        else:
            _settle(future, functools.partial(future.set_result, key))


def _settle(future: asyncio.Future[str], settle: Callable[[], None]) -> None:
    def unless_cancelled() -> None:
        if not future.done():
            settle()

    with contextlib.suppress(RuntimeError):  # the loop is closed, the result is not needed
        future.get_loop().call_soon_threadsafe(unless_cancelled)


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not key:
        raise KeyUnusable(f"{where} is empty; write the project's API key to it")
    if reason := mistake(key):
        raise KeyUnusable(f"{where} {reason}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyUnusable(f"{where} contains characters not allowed in an API key; remove everything but the key")
    return key


def is_open(file: str) -> bool:
    """Returns whether all users of the machine can read the file."""
    try:
        return bool(Path(file).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
