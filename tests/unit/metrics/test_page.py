from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from exporter.metrics.family import Family
from exporter.metrics.page import FORMATS, PIECE, ROWS, Block, Compressed, Format, Page, compress, header
from tests.unit.metrics.goldens import cases, page_of


def family(name: str = "together_x", help_: str = "Help.", **more: Any) -> Family[Any]:
    return Family(name, help_, lambda _: [], **more)


def block(*lines: bytes, **more: Any) -> Block:
    return Block(family(**more), [(line,) for line in lines], 0)


def whole(page: Page, format_: Format, *names: str) -> bytes:
    return b"".join(page.pieces(format_, frozenset(names)))


@pytest.mark.parametrize(
    ("described", "format_", "text"),
    [
        (family(), "text", "# HELP together_x Help.\n# TYPE together_x gauge\n"),
        (family(), "openmetrics", "# HELP together_x Help.\n# TYPE together_x gauge\n"),
        (
            family("together_x_total", type="counter"),
            "text",
            "# HELP together_x_total Help.\n# TYPE together_x_total counter\n",
        ),
        (
            family("together_x_total", type="counter"),
            "openmetrics",
            "# HELP together_x Help.\n# TYPE together_x counter\n",
        ),
        (family("together_x_bytes"), "text", "# HELP together_x_bytes Help.\n# TYPE together_x_bytes gauge\n"),
        (
            family("together_x_bytes"),
            "openmetrics",
            "# HELP together_x_bytes Help.\n# TYPE together_x_bytes gauge\n# UNIT together_x_bytes bytes\n",
        ),
        (
            family("together_x_seconds", type="summary"),
            "openmetrics",
            "# HELP together_x_seconds Help.\n# TYPE together_x_seconds summary\n# UNIT together_x_seconds seconds\n",
        ),
        (family(help_='a\\b\n"c"'), "text", '# HELP together_x a\\\\b\\n"c"\n# TYPE together_x gauge\n'),
        (family(help_='a\\b\n"c"'), "openmetrics", '# HELP together_x a\\\\b\\n\\"c\\"\n# TYPE together_x gauge\n'),
    ],
)
def test_a_header(described: Family[Any], format_: Format, text: str) -> None:
    assert header(described, format_).decode() == text


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("case", cases())
def test_the_length_is_that_of_all_pieces(case: str, format_: Format) -> None:
    page = page_of(case)
    assert page.length(format_) == len(whole(page, format_))


@pytest.mark.parametrize("format_", FORMATS)
def test_an_empty_page_has_no_bytes(format_: Format) -> None:
    assert (whole(Page(), format_), Page().length(format_), Page().is_ready) == (b"", 0, False)


def test_blocks_are_joined_whatever_their_number_of_rows() -> None:
    lines = [b"line %d\n" % number for number in range(2 * ROWS + 1)]
    assert b"".join(block(*lines).bodies()) == b"".join(lines)
    assert len(list(block(*lines).bodies())) == 3


def test_a_block_without_lines_is_empty() -> None:
    assert block(b"", b"").is_empty
    assert block().is_empty
    assert not block(b"", b"x").is_empty


def test_short_pieces_are_sent_together_and_long_ones_apart() -> None:
    short = Page(tuple(block(b"x" * 10) for _ in range(100)))
    assert len(list(short.pieces("text"))) == 1
    long = Page(tuple(block(b"x" * PIECE) for _ in range(3)))
    pieces = list(long.pieces("text"))
    assert max(map(len, pieces)) < 2 * PIECE
    assert len(pieces) >= 3


def test_a_selection_holds_what_was_asked_for() -> None:
    page = page_of("rollout")
    text = whole(page, "text", "together_deployment_poll_success", "nope").decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'together_deployment_poll_success{deployment="chat \\"prod\\"\\\\\\n",project="research"} 1.0'
    ]
    assert text.startswith("# HELP together_deployment_poll_success ")
    assert whole(page, "text", "nope") == b""


def test_a_page_can_be_read_any_number_of_times() -> None:
    page = page_of("rollout")
    assert whole(page, "text") == whole(page, "text") != b""


def member(compressed: Compressed, tail: bytes) -> bytes:
    return compressed.beginning + compressed.end(tail)


@pytest.mark.parametrize("tail", [b"", b"# EOF\n", b"x" * 100_000], ids=["empty", "short", "long"])
def test_a_compressed_page_takes_any_tail_and_is_one_member(tail: bytes) -> None:
    page = page_of("rollout")
    compressed = compress(page.pieces("text"))
    assert gzip.decompress(member(compressed, tail)) == whole(page, "text") + tail
    decompressor = zlib.decompressobj(31)
    decompressor.decompress(member(compressed, tail))
    assert (decompressor.eof, decompressor.unused_data) == (True, b"")


def test_a_compressed_page_can_be_ended_any_number_of_times() -> None:
    compressed = compress(iter([b"page\n"]))
    for tail in (b"one", b"other", b"one"):
        assert gzip.decompress(member(compressed, tail)) == b"page\n" + tail
