"""The Compose file, as Docker Compose itself reads it."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.published import IMAGE
from exporter import __version__
from exporter.cli import commands, options
from exporter.settings.load import load

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose"
MADE_BY_HAND = {"together-api-key"}  # what the README says to put there

pytestmark = pytest.mark.needs("docker-compose")


@cache
def services(*options: str) -> dict[str, Any]:
    command = ["docker-compose", "--project-directory", str(COMPOSE), *options, "config", "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["services"]
    assert isinstance(found, dict)
    return found


@cache
def every() -> dict[str, Any]:
    return services("--profile=live", "--profile=demo")


def test_what_starts_is_what_was_asked_for() -> None:
    common = {"prometheus", "alertmanager", "grafana"}
    assert set(services()) == common | {"exporter"}
    assert set(services("--profile=demo")) == common | {"demo-exporter", "simulator"}


@pytest.mark.parametrize("options", [(), ("--profile=demo",)], ids=["live", "demo"])
def test_prometheus_finds_one_exporter(options: tuple[str, ...]) -> None:
    aliases = [
        alias
        for service in services(*options).values()
        for alias in (service["networks"]["default"] or {}).get("aliases", [])
    ]
    assert aliases == ["exporter"]


def test_every_version_is_pinned() -> None:
    for name, service in every().items():
        repository, _, tag = service["image"].rpartition(":")
        assert repository, name
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
        if repository.endswith("together-exporter"):
            assert (repository, tag) == (IMAGE, __version__)


def test_nothing_listens_beyond_this_machine_or_may_do_more_than_its_work() -> None:
    for service in every().values():
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_configuration_is_mounted_as_a_folder_so_that_what_an_editor_saves_is_seen() -> None:
    (volume,) = every()["exporter"]["volumes"]
    assert volume["target"] == "/etc/together-exporter"
    assert (Path(volume["source"]) / "together-exporter.yml").is_file()


def test_versions_are_those_that_the_tests_use() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    versions = dict(re.findall(r"github.com/prometheus/(prometheus|alertmanager)/cmd/\S+@v(\S+)", text))
    release = re.sub(r"^0\.3(\d\d)\.", r"3.\1.", versions["prometheus"])  # of the module v0.316.0
    assert every()["prometheus"]["image"] == f"prom/prometheus:v{release}"
    assert every()["alertmanager"]["image"] == f"prom/alertmanager:v{versions['alertmanager']}"


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [v["source"] for service in every().values() for v in service.get("volumes", []) if v["type"] == "bind"]
    assert len(mounted) > 5
    assert [path for path in mounted if not Path(path).exists()] == []


def test_the_commands_are_ones_that_the_exporter_takes() -> None:
    parser = options.parser(commands.COMMANDS)
    config = parser.parse_args(["serve", *every()["exporter"]["command"]]).config_file
    assert config == "/etc/together-exporter/together-exporter.yml"
    simulate = parser.parse_args(every()["simulator"]["command"])
    url = every()["demo-exporter"]["environment"]["TOGETHER_BASE_URL"]
    assert f"simulator:{simulate.listen_address.rpartition(':')[2]}/v1" in url


def test_the_key_is_a_file_that_the_configuration_names(tmp_path: Path) -> None:
    (secret,) = every()["exporter"]["secrets"]
    assert secret["source"] in MADE_BY_HAND
    text = (COMPOSE / "config" / "together-exporter.yml").read_text()
    assert f"api_key_file: /run/secrets/{secret['source']}" in text
    (tmp_path / secret["source"]).write_text("not-a-real-key")
    file = tmp_path / "together-exporter.yml"
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    assert [project.name for project in load({}, str(file)).projects] == ["default"]


def test_the_demo_s_environment_is_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in every()["demo-exporter"]["environment"].items():
        monkeypatch.setenv(name, value)
    (project,) = load({}).projects
    assert project.base_url == "http://simulator:8000/v1"
    assert project.poll_interval == 5.0


@pytest.mark.needs("promtool")
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    mounts = {volume["target"]: volume["source"] for volume in every()["prometheus"]["volumes"]}
    for target in ("/etc/prometheus/prometheus.yml", "/etc/prometheus/rules.yml"):
        (tmp_path / Path(target).name).write_text(Path(mounts[target]).read_text())
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    targets = [
        *config["scrape_configs"][0]["static_configs"][0]["targets"],
        *config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"],
    ]
    assert targets == ["exporter:10170", "alertmanager:9093"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    grafana = COMPOSE / "grafana"
    mounts = {volume["target"]: volume["source"] for volume in every()["grafana"]["volumes"]}
    (provider,) = yaml.safe_load((grafana / "dashboards.yml").read_text())["providers"]
    assert len(list(Path(mounts[provider["options"]["path"]]).glob("*.json"))) == 3
    home = every()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (Path(mounts[str(Path(home).parent)]) / Path(home).name).exists()
    (source,) = yaml.safe_load((grafana / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
