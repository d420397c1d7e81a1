"""Writes what in the chart is made from elsewhere; `--check` says whether it is up to date."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dashboards import generate as dashboards
from deploy.helm.schema import Schema, schema
from deploy.prometheus.rules import groups
from deploy.prometheus.rules import written as written_rules
from deploy.prometheus.thresholds import Thresholds
from exporter import __version__

CHART = Path(__file__).parent / "together-exporter"


def files() -> dict[Path, str]:
    """Path to content."""
    chart, readme = (CHART / "Chart.yaml", CHART / "README.md")
    boards = {CHART / "files" / "dashboards" / f"{name}.json": dashboards.written(name) for name in dashboards.BOARDS}
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "files" / "rules.yml": written_rules(groups(Thresholds())),
        chart: re.sub("^((?:appV|v)ersion: ).*$", rf"\g<1>{__version__}", chart.read_text("utf-8"), flags=re.MULTILINE),
        readme: _with_table(readme.read_text("utf-8")),
        **boards,
    }


def _with_table(text: str) -> str:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    table = "\n".join(("| value | default | meaning |", "|---|---|---|", *_rows("", schema(), defaults)))
    return re.sub("(?<=## Values\n\n).*", lambda _: table + "\n", text, flags=re.DOTALL)


def _rows(prefix: str, of: Schema, defaults: dict[str, Any]) -> Iterator[str]:
    for name, value in of["properties"].items():
        if name not in defaults:
            continue
        if value.get("properties") and defaults[name]:
            yield from _rows(f"{prefix}{name}.", value, defaults[name])
        else:
            default = json.dumps(defaults[name], ensure_ascii=False)
            yield f"| `{prefix}{name}` | `{default}` | {value['description']} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    made = files()
    old = [file for file, text in made.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if parser.parse_args().check:
        for file in old:
            sys.stderr.write(f"{file.relative_to(CHART.parent)} is older than its source; mend: make chart\n")
        return 1 if old else 0
    for file in old:
        file.parent.mkdir(exist_ok=True)
        file.write_text(made[file], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
