"""Generated files of the Helm chart."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.helm.schema import Schema, schema
from deploy.published import CHART as PUBLISHED
from deploy.published import IMAGE, REGISTRY, REPOSITORY
from exporter import __version__
from exporter.rules.build import INTERVALS, templates
from exporter.rules.config import BURN_FACTORS, FOR, LISTS, RUNBOOKS, SHORTER
from exporter.rules.output import as_yaml
from tools import boards

CHART = Path(__file__).parents[1] / "deploy" / "helm" / "together-exporter"


def files() -> dict[Path, str]:
    """Path to content."""
    chart, readme, values = (CHART / name for name in ("Chart.yaml", "README.md", "values.yaml"))
    text = _commented(values.read_text("utf-8"))
    defaults = yaml.safe_load(text)
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "files" / "rules.yml": as_yaml(_rules()),
        chart: _of_this_version(chart.read_text("utf-8")),
        values: text,
        CHART / "files" / "defaults.yaml": yaml.safe_dump(_filled_in(schema(), defaults), sort_keys=False),
        readme: _with_table(readme.read_text("utf-8"), defaults),
        **{CHART / "files" / "dashboards" / file.name: text for file, text in boards.files().items()},
    }


def _rules() -> dict[str, Any]:
    """Values for templates/_rules.tpl."""
    lists = {name: list(labels) for name, labels in LISTS.items()}
    limits = {
        "for": [{"threshold": name, "shorter": is_shorter} for name, is_shorter in FOR.items()],
        "shorter": [{"threshold": name, "than": longer} for name, longer in SHORTER],
        "burn_factors": list(BURN_FACTORS),
    }
    return {"runbook_url": RUNBOOKS, "lists": lists, "intervals": INTERVALS, "limits": limits, "groups": templates()}


def _of_this_version(text: str) -> str:
    text = re.sub("^((?:appV|v)ersion: ).*$", rf"\g<1>{__version__}", text, flags=re.MULTILINE)
    return re.sub("image: .*", f"image: {IMAGE}:{__version__}", text)


def _commented(text: str) -> str:
    """values.yaml with each value's description above it, and the image where it is published."""
    text = re.sub("(?m)^  registry: .*$", f"  registry: {REGISTRY}", text)
    text = re.sub("(?m)^  repository: .*$", f"  repository: {REPOSITORY}", text)
    made = [f"# Made by `make generate`: the comments. Install: helm install together-exporter {PUBLISHED}"]
    path: list[tuple[int, Schema]] = [(-1, schema())]
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if key := re.match("( *)([A-Za-z_]+):", line):
            indent = len(key[1])
            path = [(depth, of) for depth, of in path if depth < indent]
            of = path[-1][1].get("properties", {}).get(key[2], {})
            path.append((indent, of))
            made += _comment(of.get("description", ""), key[1])
        made.append(line)
    return "\n".join(made) + "\n"


def _comment(description: str, indent: str) -> list[str]:
    return textwrap.wrap(
        description, 100, initial_indent=f"{indent}# -- ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def _filled_in(of: Schema, defaults: dict[str, Any]) -> dict[str, Any]:
    """What an empty value stands for. Maps for Kubernetes are left out: `resources:` means none."""
    made = {}
    for name, value in defaults.items():
        inner = of["properties"][name]
        if "properties" in inner:
            made[name] = _filled_in(inner, value)
        elif not (isinstance(value, dict) and value):
            made[name] = value
    return made


def _with_table(text: str, defaults: dict[str, Any]) -> str:
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
