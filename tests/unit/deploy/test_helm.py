"""The chart, as Helm makes it of sets of values. `make golden` rewrites the manifests; read the diff."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.helm.schema import Schema, schema
from exporter import health
from exporter.cli import commands, options
from exporter.rules.build import build
from exporter.rules.config import RulesConfig
from exporter.rules.thresholds import Thresholds
from exporter.settings.environment import FILE_VARIABLE
from exporter.settings.load import load
from tools.chart import CHART

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "testdata" / "helm"
CASES = sorted(file.stem for file in DATA.glob("*.yaml"))
KUBERNETES = ("1.28.0", "1.31.0", kubernetes_validate.latest_version())  # the oldest that the chart takes, and newer
ALL = ("--set=prometheusRule.enabled=true", "--set=dashboards.enabled=true", "--set=podMonitor.enabled=true")

helm = pytest.mark.needs("helm")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=120, check=False)


def template(case: str, *options: str) -> subprocess.CompletedProcess[str]:
    values = f"--values={DATA / case}.yaml"
    return run("template", "demo", str(CHART), "--namespace=ml", "--kube-version=1.31.0", values, *options)


@cache
def manifests(case: str, *options: str) -> list[dict[str, Any]]:
    done = template(case, *options)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def only(kind: str, case: str, *options: str) -> dict[str, Any]:
    (found,) = [each for each in manifests(case, *options) if each["kind"] == kind]
    return found


def pod(case: str) -> dict[str, Any]:
    (found,) = [each for each in manifests(case) if each["kind"] in {"Deployment", "StatefulSet"}]
    spec = found["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def config_map(case: str) -> dict[str, Any]:
    (found,) = [each for each in manifests(case) if "together-exporter.yml" in each.get("data", {})]
    return found


def container(case: str) -> dict[str, Any]:
    (found,) = [each for each in pod(case)["containers"] if each["name"] == "exporter"]
    assert isinstance(found, dict)
    return found


def variables(case: str) -> dict[str, str]:
    """Those that have their values in the manifest."""
    return {each["name"]: each["value"] for each in container(case)["env"] if "value" in each}


@helm
@pytest.mark.parametrize("case", CASES)
def test_the_manifests_are_the_expected_ones(case: str) -> None:
    done = template(case)
    assert done.returncode == 0, done.stderr
    golden = DATA / f"{case}.golden"
    if os.environ.get("GOLDEN"):
        golden.write_text(done.stdout)
    assert done.stdout == golden.read_text()


@helm
@pytest.mark.parametrize("case", CASES)
def test_helm_lint_finds_nothing(case: str) -> None:
    done = run("lint", "--strict", "--quiet", str(CHART), f"--values={DATA / case}.yaml")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@helm
@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", CASES)
def test_kubernetes_knows_every_field(case: str, version: str) -> None:
    for manifest in manifests(case, *ALL):
        if not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(manifest, version, strict=True)


@helm
@pytest.mark.parametrize("case", CASES)
def test_the_configuration_is_one_that_the_exporter_takes(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = config_map(case)["data"]["together-exporter.yml"]
    for project in yaml.safe_load(text)["projects"]:
        (tmp_path / project.get("name", "default")).write_text("a-key")
    file = tmp_path / "together-exporter.yml"
    file.write_text(text.replace("/run/secrets/together-exporter", str(tmp_path)))
    monkeypatch.setenv("TOGETHER_PRODUCTION", "a-key")
    loaded = load({}, str(file))
    assert [project.name for project in loaded.projects] == [
        project.get("name", "default") for project in yaml.safe_load(text)["projects"]
    ]


@helm
@pytest.mark.parametrize("case", CASES)
def test_each_file_that_the_container_is_told_of_is_mounted(case: str) -> None:
    spec = pod(case)
    mounts = {mount["mountPath"]: mount["name"] for mount in container(case)["volumeMounts"]}
    assert sorted(mounts.values()) == sorted(volume["name"] for volume in spec["volumes"])
    assert not [path for path in mounts for other in mounts if path != other and path.startswith(f"{other}/")]
    files = [value for name, value in variables(case).items() if name.endswith("_FILE")]
    projects = yaml.safe_load(config_map(case)["data"]["together-exporter.yml"])["projects"]
    files += [project["api_key_file"] for project in projects if "api_key_file" in project]
    assert [file for file in files if str(Path(file).parent) not in mounts] == []
    keys = [item["path"] for volume in spec["volumes"] if "projected" in volume for item in _items(volume)]
    assert set(keys) == {Path(file).name for file in files if file.startswith("/run/secrets/")}


def _items(volume: dict[str, Any]) -> Iterator[dict[str, str]]:
    for source in volume["projected"]["sources"]:
        yield from source["secret"]["items"]


@helm
@pytest.mark.parametrize("case", CASES)
def test_the_container_can_do_nothing_but_its_work(case: str) -> None:
    spec = pod(case)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(case)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= container(case)["resources"].keys()


@helm
@pytest.mark.parametrize("case", CASES)
def test_commands_in_the_container_read_what_the_daemon_reads(case: str) -> None:
    options.parser(commands.COMMANDS).parse_args(["serve", *container(case).get("args", [])])
    files = {name: value for name, value in variables(case).items() if name.endswith("_FILE")}
    expected = {FILE_VARIABLE: "/etc/together-exporter/config/together-exporter.yml"}
    web = {"TOGETHER_EXPORTER_WEB__CONFIG_FILE": "/etc/together-exporter/web/web.yml"} if case == "tls" else {}
    assert files == {**expected, **web}


@helm
def test_probes_are_by_http_where_nothing_is_in_the_way() -> None:
    exporter = container("one")
    assert exporter["livenessProbe"]["httpGet"] == {"path": health.PATH, "port": "metrics"}
    assert exporter["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "metrics"}


@helm
def test_probes_are_from_within_where_tls_or_a_password_is() -> None:
    exporter = container("tls")
    command = ["python", "-I", "-m", health.__name__]
    assert exporter["livenessProbe"]["exec"] == {"command": [*command, "/-/healthy"]}
    assert exporter["readinessProbe"]["exec"] == {"command": [*command, "/-/ready"]}


@helm
def test_a_shard_is_its_pods_index() -> None:
    workload = only("StatefulSet", "shards")
    assert workload["spec"]["replicas"] == 4
    assert variables("shards")["TOGETHER_EXPORTER_SHARD__TOTAL"] == "4"
    (variable,) = [each for each in container("shards")["env"] if "valueFrom" in each]
    assert variable["name"] == "TOGETHER_EXPORTER_SHARD__INDEX"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    names = [each["metadata"]["name"] for each in manifests("shards") if each["kind"] == "Service"]
    assert names == [workload["spec"]["serviceName"]]


@helm
def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    def annotations(*options: str) -> dict[str, str]:
        found = only("Deployment", "one", *options)["spec"]["template"]["metadata"]["annotations"]
        assert isinstance(found, dict)
        return found

    assert annotations()["checksum/config"] != annotations("--set=config.poll_interval=1m")["checksum/config"]
    assert annotations() == annotations("--set=serviceMonitor.enabled=true")


RULES: dict[str, tuple[dict[str, Any], RulesConfig]] = {
    "default": ({}, RulesConfig()),
    "nothing kept": ({"keepLabels": []}, RulesConfig(keep_labels=())),
    "everything": (
        {
            "keepLabels": ["cluster", "team"],
            "deploymentLabels": ["owner", "env"],
            "disabled": ["TogetherDeploymentAtMaximum"],
            "enabledAlerts": ["TogetherDeploymentDisappeared"],
            "overrides": {
                "TogetherDeploymentFailed": {"severity": "warning", "for": "1h", "labels": {"page": "no"}},
                "TogetherKeyRefused": {"for": "1h30m", "annotations": {"summary": "Mine."}},
            },
            "additionalLabels": {"product": "together"},
            "additionalAnnotations": {"dashboard": "https://grafana.example"},
            "runbookUrl": "https://wiki.example/",
            "thresholds": {"cold_start": "20m", "flapping_changes": 20, "secret_expires_seconds": 1_209_600},
        },
        RulesConfig.model_validate(
            {
                "keep_labels": ["cluster", "team"],
                "deployment_labels": ["owner", "env"],
                "disabled": ["TogetherDeploymentAtMaximum"],
                "enabled": ["TogetherDeploymentDisappeared"],
                "overrides": {
                    "TogetherDeploymentFailed": {"severity": "warning", "for": "1h", "labels": {"page": "no"}},
                    "TogetherKeyRefused": {"for": "1h30m", "annotations": {"summary": "Mine."}},
                },
                "labels": {"product": "together"},
                "annotations": {"dashboard": "https://grafana.example"},
                "runbook_url": "https://wiki.example/",
                "thresholds": {"cold_start": "20m", "flapping_changes": 20, "secret_expires_seconds": 1_209_600},
            }
        ),
    ),
}


def rule(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The PrometheusRule of these values."""
    file = folder / "values.json"
    file.write_text(json.dumps({"prometheusRule": {"enabled": True, **values}}))
    return only("PrometheusRule", "one", f"--values={file}")


@helm
@pytest.mark.parametrize("name", RULES)
def test_the_chart_makes_the_rules_that_the_command_prints(name: str, tmp_path: Path) -> None:
    values, config = RULES[name]
    assert rule(values, tmp_path)["spec"] == build(config)


@helm
def test_rules_go_where_they_are_wanted_with_rules_of_ones_own(tmp_path: Path) -> None:
    own = {"record": "mine", "expr": "vector(1)"}
    made = rule({"namespace": "monitoring", "labels": {"release": "kps"}, "additionalRules": [own]}, tmp_path)
    assert made["metadata"]["namespace"] == "monitoring"
    assert made["metadata"]["labels"]["release"] == "kps"
    assert made["spec"]["groups"][-1] == {"name": "together-additional", "rules": [own]}


def test_the_thresholds_of_the_values_are_those_of_the_rules() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["thresholds"]
    assert Thresholds.model_validate(defaults) == Thresholds()


@helm
def test_dashboards_are_the_very_ones() -> None:
    boards = {}
    for manifest in manifests("one", *ALL):
        if manifest["kind"] == "ConfigMap" and manifest["metadata"]["labels"].get("grafana_dashboard") == "1":
            boards.update(manifest["data"])
    assert {name: json.loads(text) for name, text in boards.items()} == {
        f"together-exporter-{file.name}": json.loads(file.read_text()) for file in (ROOT / "dashboards").glob("*.json")
    }


@helm
def test_monitors_select_the_pods_and_name_the_job_as_the_rules_do() -> None:
    monitor = only("ServiceMonitor", "two")["spec"]
    labels = only("Service", "two")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert labels[monitor["jobLabel"]] == "together-exporter"
    assert monitor["endpoints"][0]["path"] == "/own/metrics"
    spread = only("PodMonitor", "shards")["spec"]
    pods = only("StatefulSet", "shards")["spec"]["template"]["metadata"]["labels"]
    assert spread["selector"]["matchLabels"].items() <= pods.items()
    assert only("ServiceMonitor", "tls")["spec"]["endpoints"][0]["scheme"] == "https"


@helm
def test_keys_given_as_values_are_in_a_secret_only() -> None:
    made = manifests("two")
    secret = only("Secret", "two")
    assert base64.b64decode(secret["data"]["staging"]) == b"not-a-real-key"
    assert not [each for each in made if each is not secret and "not-a-real-key" in json.dumps(each)]


@helm
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ('project "default" has no key', "apiKeys.default.existingSecret")),
        ({"apiKeys": {"default": {}}}, ("apiKeys", "default")),
        ({"apiKeys": {"default": {"existingSecret": "a", "value": "b"}}}, ("apiKeys", "default")),
        ({"apiKeys": {"de/fault": {"existingSecret": "a"}}}, ("apiKeys",)),
        (
            {"apiKeys": {"other": {"existingSecret": "a"}}, "config": {"projects": [{"api_key_env": "A"}]}},
            ("apiKeys.other", "no project of this name; it has default"),
        ),
        (
            {"apiKeys": {"default": {"existingSecret": "a"}}, "config": {"projects": [{"api_key_env": "A"}]}},
            ('"default" has a key both in apiKeys and in config.projects[0]',),
        ),
        ({"config": {"pol_interval": "1m"}}, ("config", "pol_interval")),
        ({"config": {"poll_interval": 30}}, ("poll_interval", "string")),
        ({"config": {"poll_interval": "30"}}, ("poll_interval", "pattern")),
        ({"config": {"projects": [{"api_key": "k"}]}}, ("projects", "api_key")),
        ({"config": {"projects": []}}, ("projects",)),
        ({"config": {"shard": {"total": 2}}}, ("shard",)),
        ({"config": {"web": {"listen_address": ":1"}}}, ("listen_address",)),
        ({"replica": 2}, ("replica",)),
        ({"prometheusRule": {"disabled": ["TogetherDeploymentFaild"]}}, ("disabled",)),
        ({"prometheusRule": {"overrides": {"TogetherDeploymentFaild": {}}}}, ("overrides",)),
        ({"prometheusRule": {"overrides": {"TogetherDataStale": {"severity": "bad"}}}}, ("severity",)),
        ({"prometheusRule": {"thresholds": {"cold_strat": "5m"}}}, ("cold_strat",)),
        ({"prometheusRule": {"thresholds": {"cold_start": "5"}}}, ("cold_start",)),
        ({"prometheusRule": {"keepLabels": ["a-b"]}}, ("keepLabels",)),
        (
            {"replicas": 2, "sharding": {"total": 2}, "apiKeys": {"default": {"existingSecret": "a"}}},
            ("replicas and sharding.total",),
        ),
        (
            {
                "serviceMonitor": {"enabled": True},
                "service": {"enabled": False},
                "apiKeys": {"default": {"existingSecret": "a"}},
            },
            ("serviceMonitor needs service.enabled",),
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused_long_form(values: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    done = run("template", "demo", str(CHART), "--kube-version=1.31.0", f"--values={file}")
    assert done.returncode != 0
    assert [word for word in words if word not in done.stderr] == [], done.stderr


@helm
def test_the_chart_is_packed_whole(tmp_path: Path) -> None:
    done = run("package", str(CHART), f"--destination={tmp_path}")
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.glob("together-exporter-*.tgz")
    values = f"--values={DATA / 'one.yaml'}"
    again = run("template", "demo", str(packed), "--namespace=ml", "--kube-version=1.31.0", values)
    assert again.stdout == (DATA / "one.golden").read_text()


def test_every_value_is_in_the_schema_and_the_reverse() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(_said(schema())) == sorted(_given(defaults, schema()))


def _said(of: Schema, prefix: str = "") -> Iterator[str]:
    for name, value in of["properties"].items():
        if value.get("properties") and name != "config":
            yield from _said(value, f"{prefix}{name}.")
        elif name != "global":
            yield f"{prefix}{name}"


def _given(values: dict[str, Any], of: Schema, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        deeper = of["properties"].get(name, {})
        if deeper.get("properties") and name != "config":
            yield from _given(value, deeper, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
