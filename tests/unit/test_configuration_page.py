"""What docs/configuration.md promises is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.settings.load import load

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| (?:`(.*?)`)? \| `(TOGETHER_\w+)` \|", PAGE, re.MULTILINE)
LISTS = {
    "list": '[{"name": "a", "api_key_env": "KEY"}]',
    "map": '{"h100-80gb": 2.5}',
    "text or list of text": ":1",
    "duration": "7m",
}
TEXTS = {"TOGETHER_EXPORTER_WEB__CONFIG_FILE": "web.yml", "TOGETHER_EXPORTER_WEB__ROUTE_PREFIX": "/together"}


@pytest.mark.parametrize(("kind", "default", "variable"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_variable_is_taken_as_the_page_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, default: str, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yml").write_text("{}")
    monkeypatch.setenv("TOGETHER_API_KEY", "k")
    monkeypatch.setenv("KEY", "k")
    without = load({}).settings.model_dump()
    monkeypatch.setenv(variable, default or TEXTS.get(variable) or LISTS[kind])
    assert (load({}).settings.model_dump() == without) is bool(default)


def test_the_page_has_every_key_that_a_variable_can_set() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `.*`TOGETHER_EXPORTER_", PAGE, re.MULTILINE)) == 19


def test_the_example_of_a_list_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    match = re.search(r"TOGETHER_EXPORTER_PROJECTS='(.*?)'", PAGE)
    assert match
    (project,) = json.loads(match[1])
    key = tmp_path / "research"
    key.write_text("k")
    monkeypatch.setenv("TOGETHER_EXPORTER_PROJECTS", json.dumps([{**project, "api_key_file": str(key)}]))
    assert [each.name for each in load({}).projects] == ["research"]
