from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules.names import METRIC, known
from tools.boards import BOARDS, written

HERE = Path(__file__).parents[3] / "dashboards"
UIDS = {"fleet": "together-fleet", "deployment": "together-deployment", "exporter": "together-exporter"}
OTHERS = {"scrape_samples_scraped", "scrape_duration_seconds"}  # Prometheus' own


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(written(name))["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", BOARDS)
def test_uids_stay_as_they_are(name: str) -> None:
    assert json.loads(written(name))["uid"] == UIDS[name]
    assert (HERE / f"{name}.json").read_text() == written(name)


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        if panel["type"] == "stat":
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
    titles = [panel["title"] for panel in panels(name)]
    assert len(titles) >= 10


@pytest.mark.parametrize("name", BOARDS)
def test_no_data_source_is_written_into_a_dashboard(name: str) -> None:
    def sources(value: Any) -> list[Any]:
        if isinstance(value, dict):
            own = [value["datasource"]] if isinstance(value.get("datasource"), dict) else []
            return own + [found for each in value.values() for found in sources(each)]
        return [found for each in value for found in sources(each)] if isinstance(value, list) else []

    board = json.loads(written(name))
    assert {source["uid"] for source in sources(board)} == {"${datasource}"}
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    own = {"project", "deployment", "gpu_type", "own_label", "own_value"}
    others = {"cluster", *({"job", "instance"} if name == "exporter" else own)}
    assert set(variables) == {"datasource", *others}
    for other in others - {"own_label"}:
        assert variables[other]["includeAll"]
        assert variables[other]["multi"]
        missing = other in {"cluster", "own_value"}  # a label that targets and deployments need not have
        assert variables[other]["allValue"] == (".*" if missing else ".+")


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_beside_each_other_and_not_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(name):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_dashboards_are_linked_to_each_other_and_to_the_runbooks() -> None:
    for name in BOARDS:
        links = json.loads(written(name))["links"]
        assert [link["type"] for link in links] == ["dashboards", "link"]
        assert links[1]["url"].endswith("/docs/runbooks/")
        assert links[0]["tags"] == json.loads(written(name))["tags"]
    assert "/d/together-deployment?var-project=" in written("fleet")


def test_every_query_follows_the_variables_and_none_matches_one_value_by_a_regular_expression() -> None:
    for name in BOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                assert "$cluster" in target["expr"], panel["title"]
                assert not re.findall(r'=~"[\w-]+"', target["expr"]), panel["title"]
                assert not re.search(r"by \((?!cluster|gpu_type|le|reason|instance)", target["expr"]), panel["title"]


def test_changes_are_counted_without_decimals() -> None:
    (panel,) = [panel for panel in panels("deployment") if panel["title"] == "Status changes"]
    assert panel["fieldConfig"]["defaults"]["decimals"] == 0
    assert panel["targets"][0]["expr"].startswith("round(")


def test_every_metric_that_a_dashboard_names_exists() -> None:
    named = {name for board in BOARDS for name in METRIC.findall(written(board))}
    uids = {uid.replace("-", "_") for uid in UIDS.values()}
    assert len(named) > 30
    assert named - uids <= known(), named - known()


def test_what_prometheus_adds_is_all_that_is_not_ours() -> None:
    expressions = [target["expr"] for name in BOARDS for panel in panels(name) for target in panel["targets"]]
    names = {name for expr in expressions for name in re.findall(r"(?<![:\w])[a-z]+_[a-z_]+(?=\{)", expr)}
    assert names - known() - OTHERS <= {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    }
