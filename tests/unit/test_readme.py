"""The examples in the README and in docs/ are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from exporter.settings.model import Settings
from exporter.settings.web_config import WebConfigFile
from exporter.simulator.scenario import Scenario

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[Any]:
    return [
        yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    ]


SCRAPE, SETTINGS = examples("README.md")
WEB = examples("docs/proxies-and-certificates.md")[-1]
SCENARIO = examples("docs/simulator.md")[0]


def test_the_configuration_example_is_one() -> None:
    settings = Settings(**SETTINGS)
    assert [project.name for project in settings.projects] == ["research", "production"]


def test_the_web_configuration_example_is_one() -> None:
    web = WebConfigFile.model_validate(WEB)
    assert (web.tls_server_config is not None, list(web.basic_auth_users)) == (True, ["prometheus"])


def test_the_scenario_example_is_one() -> None:
    assert Scenario.model_validate(SCENARIO).deployments[0].name == "chat-prod"


def test_the_scrape_example_is_the_one_that_promtool_checks() -> None:
    file = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == SCRAPE
