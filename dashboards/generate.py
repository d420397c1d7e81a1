"""Writes the dashboards as JSON; `--check` says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import deployment, exporter, fleet
from deploy.made import write_or_check

BOARDS = {"fleet": fleet.board, "deployment": deployment.board, "exporter": exporter.board}


def written(name: str) -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(BOARDS[name]().build()) + "\n"


def main() -> int:
    files = {Path(__file__).parent / f"{name}.json": written(name) for name in BOARDS}
    return write_or_check(files, __doc__ or "", "make dashboards")


if __name__ == "__main__":
    sys.exit(main())
