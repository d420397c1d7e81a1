"""The plain manifests, as kustomize makes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.published import IMAGE
from exporter import __version__
from tests.unit.deploy.test_helm import DATA, KUBERNETES

PLAIN = Path(__file__).parents[3] / "deploy" / "kubernetes"
VOLUMES = ("config", "api-keys")
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: monitoring
resources: [kubernetes]
configMapGenerator:
  - {name: together-exporter, behavior: replace, literals: ["together-exporter.yml=mine"]}
"""

pytestmark = pytest.mark.needs("kustomize")
Manifests = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    """By kind."""
    return build(PLAIN)


def build(folder: Path) -> Manifests:
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
    assert [volume["name"] for volume in chart["volumes"]] == list(VOLUMES)
    assert plain["volumes"][0]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    chart["volumes"][0]["configMap"]["name"] = manifests["ConfigMap"]["metadata"]["name"]
    chart["serviceAccountName"] = manifests["ServiceAccount"]["metadata"]["name"]
    assert plain == chart


def test_the_key_is_in_a_secret_that_exists_already(manifests: Manifests) -> None:
    assert "Secret" not in manifests
    assert "api-key" not in (PLAIN / "kustomization.yaml").read_text().replace("`api-key`", "")


def test_it_is_a_base_for_ones_own_kustomization(tmp_path: Path) -> None:
    shutil.copytree(PLAIN, tmp_path / "kubernetes")
    (tmp_path / "kustomization.yaml").write_text(OVERLAY)
    made = build(tmp_path)
    assert {each["metadata"]["namespace"] for each in made.values()} == {"monitoring"}
    assert made["ConfigMap"]["data"] == {"together-exporter.yml": "mine"}
    mounted = made["Deployment"]["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert mounted == made["ConfigMap"]["metadata"]["name"]


def test_the_image_is_of_this_version(manifests: Manifests) -> None:
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{IMAGE}:{__version__}"
