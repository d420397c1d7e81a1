"""The Grafana dashboards that ship in the wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def boards() -> dict[str, str]:
    """File name to JSON: in the wheel beside this package, in a checkout where they are made."""
    folder = PACKAGE / "dashboards"
    files = sorted((folder if folder.exists() else PACKAGE.parent / "dashboards").glob("*.json"))
    return {file.name: file.read_text(encoding="utf-8") for file in files}
