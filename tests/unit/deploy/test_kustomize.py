"""The plain manifests, as kustomize makes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from exporter import __version__
from tests.unit.deploy.test_helm import DATA, KUBERNETES

PLAIN = Path(__file__).parents[3] / "deploy" / "kubernetes"
VOLUMES = ("config", "api-keys")  # whose names are those of the ConfigMap and the Secret that kustomize makes

pytestmark = pytest.mark.needs("kustomize")
Manifests = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """By kind."""
    folder = tmp_path_factory.mktemp("kustomize") / "kubernetes"
    shutil.copytree(PLAIN, folder)
    (folder / "api-key.txt").write_text("not-a-real-key")
    done = subprocess.run(["kustomize", "build", folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    made = list(yaml.safe_load_all(done.stdout))
    assert len({each["kind"] for each in made}) == len(made)
    return {each["kind"]: each for each in made}


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(manifests: Manifests, version: str) -> None:
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_each_selects_the_pods(manifests: Manifests) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = (
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
    )
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_the_pod_is_that_of_the_chart(manifests: Manifests) -> None:
    golden = yaml.safe_load_all((DATA / "one.golden").read_text())
    (chart,) = [each["spec"]["template"]["spec"] for each in golden if each["kind"] == "Deployment"]
    plain = manifests["Deployment"]["spec"]["template"]["spec"]
    config, secret = (manifests[kind]["metadata"]["name"] for kind in ("ConfigMap", "Secret"))
    for spec in (chart, plain):
        assert [volume["name"] for volume in spec["volumes"]] == list(VOLUMES)
    mounted, keys = plain.pop("volumes")
    assert mounted["configMap"]["name"] == config
    assert keys["projected"]["sources"][0]["secret"]["name"] == secret
    chart.pop("volumes")
    chart["serviceAccountName"] = manifests["ServiceAccount"]["metadata"]["name"]
    assert plain == chart


def test_the_image_is_of_this_version(manifests: Manifests) -> None:
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f":{__version__}")
