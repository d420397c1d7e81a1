"""Writes the dashboards as JSON; `--check` says whether they are up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import deployment, exporter, fleet

BOARDS = {"fleet": fleet.board, "deployment": deployment.board, "exporter": exporter.board}


def written(name: str) -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(BOARDS[name]().build()) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    files = {Path(__file__).parent / f"{name}.json": written(name) for name in BOARDS}
    old = [file for file, text in files.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if parser.parse_args().check:
        for file in old:
            sys.stderr.write(f"{file.name} is older than its source; mend: make dashboards\n")
        return 1 if old else 0
    for file in old:
        file.write_text(files[file], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
