"""Reads small text files named by users: limited in size, without blocking on pipes and devices."""

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
    """The message gives the reason and a hint, and never contains the file's contents."""


def read_text(name: str, max_bytes: int) -> str:
    """Returns UTF-8 text without its byte order mark. Raises Unreadable."""
    try:
        return read_bytes(name, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text; save it as UTF-8") from None


def read_bytes(name: str, max_bytes: int) -> bytes:
    """Returns the contents of a regular file. Raises Unreadable."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block the open
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {_reason(error)}; check the path and its permissions") from None
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            raise Unreadable(f"is {KINDS.get(kind, 'not a file')}; name a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {_reason(error)}") from None
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise Unreadable(f"is larger than {max_bytes // 1024} KiB; check the path")
    return content


def _reason(error: OSError | ValueError) -> str:
    """Returns the reason of an OSError, or of the ValueError for a path with a null byte."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
