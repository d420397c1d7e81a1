"""Generated files of the Helm chart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.helm.schema import Schema, schema
from exporter import __version__
from exporter.rules.build import INTERVALS, templates
from exporter.rules.config import LISTS, RUNBOOKS
from exporter.rules.output import as_yaml
from tools import boards

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "together-exporter"


def files() -> dict[Path, str]:
    """Path to content."""
    chart, readme = (CHART / "Chart.yaml", CHART / "README.md")
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "files" / "rules.yml": as_yaml(_rules()),
        chart: re.sub("^((?:appV|v)ersion: ).*$", rf"\g<1>{__version__}", chart.read_text("utf-8"), flags=re.MULTILINE),
        readme: _with_table(readme.read_text("utf-8")),
        **{CHART / "files" / "dashboards" / file.name: text for file, text in boards.files().items()},
    }


def _rules() -> dict[str, Any]:
    """Values for templates/_rules.tpl."""
    lists = {name: list(labels) for name, labels in LISTS.items()}
    return {"runbook_url": RUNBOOKS, "lists": lists, "intervals": INTERVALS, "groups": templates()}


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
