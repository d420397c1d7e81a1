"""Reading small text files that users name: bounded, and never waiting for a pipe or a device."""

from __future__ import annotations

import os
import stat

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class Unreadable(Exception):
    """The text says why the file cannot be used and what to do; it never holds the file's contents."""


def read_text(name: str, max_bytes: int) -> str:
    """UTF-8 text without its byte order mark. Raises Unreadable."""
    try:
        return read_bytes(name, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text; save it as UTF-8") from None


def read_bytes(name: str, max_bytes: int) -> bytes:
    """The whole of a regular file. Raises Unreadable."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block the open
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {_reason(error)}; check the path and its permissions") from None
    with os.fdopen(descriptor, "rb") as file:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            raise Unreadable(f"is {KINDS.get(kind, 'not a file')}; name a regular file")
        try:
            content = file.read(max_bytes + 1)
        except OSError as error:
            raise Unreadable(f"cannot be read: {_reason(error)}") from None
    if len(content) > max_bytes:
        raise Unreadable(f"is larger than {max_bytes // 1024} KiB; check the path")
    return content


def _reason(error: OSError | ValueError) -> str:
    """A path with a null byte is a ValueError."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
