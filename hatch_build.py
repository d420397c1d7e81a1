"""The README as the package index shows it: with links into the repository, at the release's tag."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

REPOSITORY = "together-exporter/together-exporter"
PICTURES = f"https://raw.githubusercontent.com/{REPOSITORY}"
PAGES = f"https://github.com/{REPOSITORY}/blob"


class Readme(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        version = re.search('^__version__ = "(.*)"$', (root / "exporter/__init__.py").read_text("utf-8"), re.MULTILINE)
        if version is None:
            raise ValueError("exporter/__init__.py has no __version__")
        text = absolute((root / "README.md").read_text("utf-8"), f"v{version[1]}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, tag: str) -> str:
    text = re.sub(r"(!\[[^]]*\]\()(?!https?://)", rf"\g<1>{PICTURES}/{tag}/", text)
    return re.sub(r"(\]\()(?!https?://|#)", rf"\g<1>{PAGES}/{tag}/", text)
