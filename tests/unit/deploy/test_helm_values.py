"""What users of other charts write, and what once broke this one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.schema import Schema, schema
from deploy.published import IMAGE
from exporter import __version__, health
from tests.unit.deploy.test_helm import ROOT, manifests, run
from tools.chart import CHART

KEY = {"apiKeys": {"default": {"existingSecret": "together"}}}
LABEL = 63  # characters of a label's value, and of a Service's name
REVISION = 11  # characters that a StatefulSet adds to its name in a label

pytestmark = pytest.mark.needs("helm")
Manifests = list[dict[str, Any]]
Render = Callable[..., Manifests]


@pytest.fixture
def template(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def rendered(values: dict[str, Any], *, release: str = "demo", chart: Path = CHART) -> Any:
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values))
        return run("template", release, str(chart), "--kube-version=1.31.0", "--namespace=ml", f"--values={file}")

    return rendered


@pytest.fixture
def render(template: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    def rendered(values: dict[str, Any], **options: Any) -> Manifests:
        done = template({**KEY, **values}, **options)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return rendered


def of(kind: str, made: Manifests) -> dict[str, Any]:
    (found,) = [each for each in made if each["kind"] == kind]
    return found


def exporter(made: Manifests) -> dict[str, Any]:
    spec = of("Deployment", made)["spec"]["template"]["spec"]
    return next(each for each in spec["containers"] if each["name"] == "exporter")


@pytest.mark.parametrize(
    "section",
    [
        *("config", "web", "image", "sharding", "service", "serviceMonitor", "podMonitor", "prometheusRule"),
        *("dashboards", "networkPolicy", "podDisruptionBudget", "serviceAccount", "replicas", "extraEnv", "strategy"),
    ],
)
def test_a_value_that_is_left_empty_has_its_default(render: Render, section: str) -> None:
    assert render({section: None}) == manifests("one")


def test_an_empty_value_within_a_section_has_its_default(render: Render) -> None:
    made = render({"serviceMonitor": {"enabled": True, "interval": None}, "service": {"port": None, "type": None}})
    assert of("ServiceMonitor", made)["spec"]["endpoints"][0]["interval"] == "30s"
    assert of("Service", made)["spec"]["ports"][0]["port"] == 10170
    rules = {"enabled": True, "thresholds": None, "overrides": None, "keepLabels": None}
    assert of("PrometheusRule", render({"prometheusRule": rules})) == of(
        "PrometheusRule", render({"prometheusRule": {"enabled": True}})
    )


def test_false_and_0_are_not_empty(render: Render) -> None:
    made = render({"replicas": 0, "service": {"enabled": False}, "serviceAccount": {"create": False}})
    assert of("Deployment", made)["spec"]["replicas"] == 0
    assert {"Service", "ServiceAccount"}.isdisjoint({each["kind"] for each in made})


def test_resources_can_be_taken_away(render: Render) -> None:
    assert exporter(render({"resources": {"limits": None}}))["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"}
    }
    assert not exporter(render({"resources": None}))["resources"]


@pytest.mark.parametrize("alias", ["together-exporter", "together"])
def test_an_umbrella_chart_turns_it_on_and_off(template: Any, tmp_path: Path, alias: str) -> None:
    parent = tmp_path / "umbrella"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "together-exporter").symlink_to(CHART)
    own = {"name": "together-exporter", "version": "*", "alias": alias, "condition": f"{alias}.enabled"}
    chart = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [own]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {**KEY, "serviceMonitor": {"enabled": True}, "web": None}
    off = template({alias: {**values, "enabled": False}}, chart=parent)
    assert (off.returncode, off.stdout.strip()) == (0, "")
    on = template({alias: {**values, "enabled": True}, "global": {"imageRegistry": "mirror.example"}}, chart=parent)
    assert on.returncode == 0, on.stderr
    made = [each for each in yaml.safe_load_all(on.stdout) if each]
    assert exporter(made)["image"].startswith("mirror.example/together-exporter/")
    assert _job(made) == "together-exporter"


def _job(made: Manifests) -> str:
    monitor, service = of("ServiceMonitor", made), of("Service", made)
    return str(service["metadata"]["labels"][monitor["spec"]["jobLabel"]])


def test_another_name_does_not_change_the_job(render: Render) -> None:
    assert _job(render({"nameOverride": "other", "serviceMonitor": {"enabled": True}})) == "together-exporter"


@pytest.mark.parametrize("release", ["y", "123", "1e3", "no", "x" * 53], ids=str)
@pytest.mark.parametrize("shards", [1, 3])
def test_every_release_name_works(render: Render, release: str, shards: int) -> None:
    made = render({"sharding": {"total": shards}, "serviceMonitor": {"enabled": True}}, release=release)
    for each in made:
        assert all(isinstance(value, str) for value in each["metadata"]["labels"].values())
        assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", each["metadata"]["name"]), each["kind"]
    (workload,) = [each for each in made if each["kind"] in {"Deployment", "StatefulSet"}]
    assert len(workload["metadata"]["name"]) + REVISION <= LABEL
    for each in made:
        assert len(each["metadata"]["name"]) <= LABEL
    services = {each["metadata"]["name"] for each in made if each["kind"] == "Service"}
    assert workload["spec"].get("serviceName", next(iter(services))) in services


def test_labels_are_text_for_every_reader_of_yaml(template: Any) -> None:
    """PyYAML takes a bare `y` for text, Kubernetes for true."""
    made = template({**KEY, "nameOverride": "no", "commonLabels": {"on": "off"}}, release="y").stdout
    labels = re.findall('^ +(app.kubernetes.io/(?:name|instance)|"on"): (.*)$', made, re.MULTILINE)
    assert len(labels) > 10
    assert {value for _, value in labels} == {'"no"', '"y"', '"off"'}


def rules(**values: Any) -> dict[str, Any]:
    return {"prometheusRule": {"enabled": True, **values}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"web": {"tlsSecret": "tls"}}, ("web.tlsSecret", "web.config.tls_server_config")),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, ("podLabels", "app.kubernetes.io/name")),
        ({"podLabels": {"team": "x"}, "commonLabels": {"team": "y"}}, ("podLabels", "team")),
        ({"commonLabels": {"helm.sh/chart": "x"}}, ("commonLabels", "helm.sh/chart")),
        ({"commonLabels": {"team": 1}}, ("commonLabels", "string")),
        (
            {"serviceMonitor": {"enabled": True, "scrapeTimeout": "31s"}},
            ("serviceMonitor.scrapeTimeout 31s is longer than its interval 30s",),
        ),
        (
            {"podMonitor": {"enabled": True, "interval": "1m30s", "scrapeTimeout": "2m"}},
            ("podMonitor.scrapeTimeout 2m",),
        ),
        ({"serviceMonitor": {"scheme": "ftp"}}, ("scheme",)),
        ({"apiKeys": {}, "extraEnv": [{"name": "HTTPS_PROXY", "value": "x"}]}, ('project "default" has no key',)),
        ({"extraArgs": ["--web.route-prefix=/x"]}, ("extraArgs",)),
        (rules(thresholds={"reason_window": "20m"}), ("thresholds.reason_window must be shorter than the `for` of",)),
        (rules(thresholds={"exporter_memory": "5m"}), ("thresholds.exporter_memory must be longer than the `for` of",)),
        (rules(thresholds={"burn_fast_short_window": "2h"}), ("must be shorter than burn_fast_window, which is 1h",)),
        (rules(thresholds={"availability_target": 0.9}), ("burn_fast_factor times 1 - availability_target",)),
        (rules(additionalLabels={"cluster": "eu"}), ("additionalLabels.cluster is a label of the alert itself",)),
        (rules(additionalLabels={"project": "x"}), ("additionalLabels",)),
        (rules(overrides={"TogetherDataStale": {"labels": {"severity": "page"}}}), ("overrides",)),
        (rules(keepLabels=["job"]), ("keepLabels",)),
        (rules(deploymentLabels=["label_team"]), ("deploymentLabels",)),
        (rules(deploymentLabels=["team"], keepLabels=["label_team"]), ("label_team is joined by deploymentLabels",)),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused(template: Any, values: dict[str, Any], words: tuple[str, ...]) -> None:
    done = template({**KEY, **values})
    assert done.returncode != 0
    assert [word for word in words if word not in done.stderr] == [], done.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"extraEnv": [{"name": "TOGETHER_API_KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]},
        {"extraEnvFrom": [{"secretRef": {"name": "a"}}]},
        {"config": {"projects": [{"api_key_env": "A"}]}},
    ],
)
def test_a_key_may_be_a_variable(template: Any, values: dict[str, Any]) -> None:
    assert template(values).returncode == 0


@pytest.mark.parametrize("interval", ["30s", "1m30s", "1500ms"])
def test_a_scrape_may_take_the_whole_interval(render: Render, interval: str) -> None:
    made = render({"podMonitor": {"enabled": True, "interval": interval, "scrapeTimeout": interval}})
    assert of("PodMonitor", made)["spec"]["podMetricsEndpoints"][0]["scrapeTimeout"] == interval


@pytest.mark.parametrize(
    ("web", "scheme", "expected"),
    [
        ({}, "", "http"),
        ({}, "https", "https"),
        ({"config": {"basic_auth_users": {"a": "b"}}, "tlsSecret": "tls"}, "", "http"),
        ({"config": {"tls_server_config": {}}}, "", "https"),
        ({"existingSecret": "web"}, "", "http"),
        ({"existingSecret": "web", "tlsSecret": "tls"}, "", "https"),
        ({"existingSecret": "web"}, "https", "https"),
    ],
)
def test_the_scheme_is_that_of_the_server(render: Render, web: dict[str, Any], scheme: str, expected: str) -> None:
    monitors = {
        "serviceMonitor": {"enabled": True, "scheme": scheme},
        "podMonitor": {"enabled": True, "scheme": scheme},
    }
    made = render({"web": web, **monitors})
    assert of("ServiceMonitor", made)["spec"]["endpoints"][0]["scheme"] == expected
    assert of("PodMonitor", made)["spec"]["podMetricsEndpoints"][0]["scheme"] == expected


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, f"{IMAGE}:{__version__}"),
        (
            {"image": {"registry": "mirror.example"}},
            f"mirror.example/together-exporter/together-exporter:{__version__}",
        ),
        ({"image": {"registry": "", "repository": "own", "tag": "1"}}, "own:1"),
        (
            {"image": {"registry": "a.example", "tag": "1"}, "global": {"imageRegistry": "b.example"}},
            "b.example/together-exporter/together-exporter:1",
        ),
    ],
)
def test_the_image_is_pulled_from(render: Render, values: dict[str, Any], image: str) -> None:
    assert exporter(render(values))["image"] == image


def test_the_probes_metrics_and_test_are_below_the_prefix(render: Render) -> None:
    made = render({"config": {"web": {"route_prefix": "/together/"}}, "serviceMonitor": {"enabled": True}})
    assert exporter(made)["livenessProbe"]["httpGet"]["path"] == "/together/-/healthy"
    assert exporter(made)["readinessProbe"]["httpGet"]["path"] == "/together/-/ready"
    assert of("ServiceMonitor", made)["spec"]["endpoints"][0]["path"] == "/together/metrics"
    assert of("Pod", made)["spec"]["containers"][0]["command"][-1].endswith(":10170/together/-/ready")


def test_probes_are_changed_by_field_or_as_a_whole(render: Render) -> None:
    probes = {"livenessProbe": {"failureThreshold": 9}, "readinessProbe": {"exec": {"command": ["true"]}}}
    made = exporter(render(probes))
    assert made["livenessProbe"] == {
        "httpGet": {"path": health.PATH, "port": "metrics"},
        "failureThreshold": 9,
        "periodSeconds": 20,
        "timeoutSeconds": 5,
    }
    assert made["readinessProbe"] == {"exec": {"command": ["true"]}, "periodSeconds": 10, "timeoutSeconds": 5}
    assert "startupProbe" not in made


def test_nothing_selects_the_pod_of_the_test(render: Render) -> None:
    made = render({"networkPolicy": {"enabled": True}})
    labels = of("Pod", made)["metadata"]["labels"]
    for selector in (
        of("Service", made)["spec"]["selector"],
        of("NetworkPolicy", made)["spec"]["podSelector"]["matchLabels"],
    ):
        assert not selector.items() <= labels.items()


def test_every_value_is_described_in_values_yaml() -> None:
    assert (CHART / "values.yaml").read_text().count("# -- ") == sum(1 for _ in _described(schema()))


def _described(of: Schema) -> Iterator[str]:
    for name, value in of["properties"].items():
        if "description" in value:
            yield value["description"]
            if name != "config":
                yield from _described(value) if "properties" in value else ()


@pytest.mark.parametrize(
    ("values", "command"),
    [
        ({}, "kubectl -n ml exec deployment/demo-together-exporter -- together-exporter check --poll\n"),
        (
            {"sharding": {"total": 3}, "namespaceOverride": "other"},
            "kubectl -n other exec statefulset/demo-together-exporter -- together-exporter check --poll\n",
        ),
    ],
)
def test_the_notes_command_needs_no_option(
    render: Render, tmp_path: Path, values: dict[str, Any], command: str
) -> None:
    copy = shutil.copytree(CHART, tmp_path / "chart")
    shutil.move(copy / "templates" / "NOTES.txt", copy / "notes.txt")  # Helm renders notes only beside a cluster
    (copy / "templates" / "notes.yaml").write_text('{kind: Notes, text: {{ tpl (.Files.Get "notes.txt") . | quote }}}')
    assert command in of("Notes", render(values, chart=copy))["text"]


def test_the_icon_is_in_the_repository() -> None:
    icon = yaml.safe_load((CHART / "Chart.yaml").read_text())["icon"]
    assert (ROOT / icon.partition("/main/")[2]).is_file()


def test_the_readme_has_no_links_out_of_the_package() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (CHART / "README.md").read_text())
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_what_users_add_to_rules_is_kept_as_they_wrote_it(render: Render) -> None:
    made = render(rules(additionalLabels={"owner": "<team>"}, additionalAnnotations={"note": "see <project>"}))
    alerts = [
        rule for group in of("PrometheusRule", made)["spec"]["groups"] for rule in group["rules"] if "alert" in rule
    ]
    assert {(alert["labels"]["owner"], alert["annotations"]["note"]) for alert in alerts} == {
        ("<team>", "see <project>")
    }
