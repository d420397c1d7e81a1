"""The dashboards as JSON."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import deployment, exporter, fleet

FOLDER = Path(__file__).parents[1] / "dashboards"
BOARDS = {"fleet": fleet.board, "deployment": deployment.board, "exporter": exporter.board}


@cache
def written(name: str) -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(BOARDS[name]().build()) + "\n"


def files() -> dict[Path, str]:
    """Path to content."""
    return {FOLDER / f"{name}.json": written(name) for name in BOARDS}
