"""docs/simulator.md has every scenario, key and endpoint, and its examples work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from exporter.simulator import SHIPPED, scenario
from exporter.simulator.endpoints import ENDPOINTS
from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import Scenario, load
from exporter.simulator.spec import Resources

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"
TABLE = re.compile(r"<!-- (?P<name>\w+) -->\n.*?<!-- end -->", re.DOTALL)
KEYS: dict[str, type[BaseModel]] = {
    "scenario": Scenario,
    "deployment": scenario.DeploymentScenario,
    "step": scenario.Step,
    "secret": scenario.SecretScenario,
    "volume": scenario.VolumeScenario,
    "fault": scenario.Fault,
    "fleet": scenario.Fleet,
}


def scenarios() -> Iterator[str]:
    yield "| name | what it shows |"
    yield "|---|---|"
    yield from (f"| `{name}` | {load(name).description} |" for name in SHIPPED)


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Of a deployment: its own keys before those that it has in common with the API."""
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    shared = Resources.model_fields if issubclass(model, Resources) else {}
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] in shared)
    for name, field in fields:
        default = "" if field.is_required() or field.default in (None, (), {}, "") else f"`{field.default}`"
        yield f"| `{name}` | {default} | {field.description} |"


def tables() -> dict[str, str]:
    rows = {"scenarios": [*scenarios()], **{name: [*keys(model)] for name, model in KEYS.items()}}
    return {name: "\n".join(lines) for name, lines in rows.items()}


def test_the_tables_are_those_of_the_code() -> None:
    """Else: make golden."""
    text = PAGE.read_text(encoding="utf-8")
    made = TABLE.sub(lambda match: f"<!-- {match['name']} -->\n\n{tables()[match['name']]}\n\n<!-- end -->", text)
    if os.environ.get("GOLDEN"):
        PAGE.write_text(made, encoding="utf-8")
    assert made == PAGE.read_text(encoding="utf-8")
    assert {match["name"] for match in TABLE.finditer(text)} == tables().keys()


def test_every_endpoint_is_listed() -> None:
    listed = set(re.findall(r"^\| `(GET|PATCH|POST) (/v1/[^`?]+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {(method, path.replace(":path", "")) for method, path, _ in ENDPOINTS}


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_every_example_runs(example: str) -> None:
    fleet = Fleet(Scenario.model_validate(yaml.safe_load(example)), seed=1)
    fleet.advance(1000)
    assert all(deployment.body() for deployment in fleet.deployments.values())
