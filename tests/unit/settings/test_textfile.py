"""Files that users name: whatever is there, reading it ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from exporter.settings.textfile import Unreadable, read_text


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "is a directory; name a regular file"),
        (pipe, "is a pipe; name a regular file"),
        (listening, "cannot be read: No such device or address"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device; name a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8 text"),
        (lambda path: path.write_bytes(b"x" * 101), "is larger than 0 KiB"),
        (lambda _: None, "cannot be read: No such file or directory; check the path and its permissions"),
    ],
    ids=["directory", "pipe", "socket", "device", "loop", "not text", "large", "missing"],
)
def test_what_is_no_file_is_refused_at_once(make, reason: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "x")
    with pytest.raises(Unreadable, match=reason):
        read_text(str(tmp_path / "x"), 100)


def test_a_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        read_text("a\0b", 100)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfkey\r\n")
    assert read_text(str(tmp_path / "x"), 100) == "key\r\n"
