"""What docs/ promises of itself: links lead somewhere, pictures show what is there, the index has all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from exporter.status.model import STATUS
from exporter.status.report import report
from tests.conftest import ROOT
from tests.e2e.documentation import fenced, pages
from tests.pipeline import run
from tests.unit.status.facts import facts, fleet, well
from tools.pictures import IMAGES, MADE, Picture, pictures

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
DOCS = ROOT / "docs"


def anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", pages(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    for link in LINK.findall(file.read_text(encoding="utf-8")):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = (file.parent / name).resolve() if name else file
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_the_index_has_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    assert {file for file in DOCS.glob("*.md") if file.name != "README.md"} <= linked


def test_every_recipe_has_a_query_and_a_picture() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for title, recipe in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        assert recipe.count("```promql") == recipe.count("](images/") >= 1, title
    queries = [line.text for line in fenced("promql") if line.file.name == "recipes.md"]
    assert [picture.query for picture in pictures() if picture.query] == queries


@pytest.mark.parametrize("picture", [*pictures()], ids=lambda picture: picture.name)
def test_pictures_are_of_what_is_there_now(picture: Picture) -> None:
    """Else: make pictures."""
    assert (IMAGES / picture.name).read_bytes().startswith(b"\x89PNG")
    assert json.loads(MADE.read_text())[picture.name] == picture.made_of, "run make pictures"


def test_no_picture_is_left_over() -> None:
    assert {file.name for file in IMAGES.glob("*.png")} == {picture.name for picture in pictures()}
    assert "docs/images/status-page.png" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_schema_of_the_status_holds() -> None:
    schema: dict[str, Any] = json.loads((DOCS / "status.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    status = run(report(facts(fleet(well("a"), well("b", status="Failed"), missing="c"))))
    parsed = json.loads(STATUS.dump_json(status))
    validator.validate(parsed)
    parsed["deployments"][0]["level"] = "fine"
    assert [error.message for error in validator.iter_errors(parsed)]
