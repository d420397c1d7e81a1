from __future__ import annotations

import re
from pathlib import Path

import yaml

from exporter.settings.model import Settings
from exporter.settings.web_config import WebConfigFile
from exporter.simulator.scenario import Scenario

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SCRAPE, SETTINGS, WEB, SCENARIO = (
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
)


def test_the_configuration_example_is_one() -> None:
    settings = Settings(**SETTINGS)
    assert [project.name for project in settings.projects] == ["research", "production"]


def test_the_web_configuration_example_is_one() -> None:
    web = WebConfigFile.model_validate(WEB)
    assert (web.tls_server_config is not None, list(web.basic_auth_users)) == (True, ["prometheus"])


def test_the_scenario_example_is_one() -> None:
    assert Scenario.model_validate(SCENARIO).deployments[0].name == "chat-prod"


def test_the_scrape_example_is_the_one_that_promtool_checks() -> None:
    file = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == SCRAPE
