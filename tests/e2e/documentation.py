"""What in the documentation can be run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Line:
    """One command or query, and where it stands."""

    file: Path
    text: str

    @property
    def name(self) -> str:
        return f"{self.file.relative_to(ROOT)}: {self.text}"


def pages() -> list[Path]:
    """Every Markdown file of the project, except the changelog."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [ROOT / name for name in listed if name != "CHANGELOG.md"]


def fenced(kind: str) -> Iterator[Line]:
    """Each line of the blocks of a kind, comments left out."""
    for file in pages():
        for language, text in FENCE.findall(file.read_text(encoding="utf-8")):
            if language == kind:
                for line in text.splitlines():
                    if command := re.sub(r"\s+# .*$", "", line).strip():
                        yield Line(file, command)


def inline() -> Iterator[Line]:
    """Code in the running text and in tables."""
    for file in pages():
        for text in INLINE.findall(FENCE.sub("", file.read_text(encoding="utf-8"))):
            yield Line(file, text)
