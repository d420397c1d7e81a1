"""The chart and the manifests on a real API server, by `make cluster-test`; `make test` does not find this file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.cluster import Cluster, running
from tests.conftest import ROOT, until
from tools.chart import CHART

HELM = ("helm", "helm-4")
PLAIN = ROOT / "deploy" / "kubernetes"
KEY = {"apiKeys": {"default": {"existingSecret": "together"}}}
OURS = (
    "deployments.apps",
    "statefulsets.apps",
    "services",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "networkpolicies",
)
MORE = ("poddisruptionbudgets", "servicemonitors", "podmonitors", "prometheusrules", "pods")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
EVERYTHING: dict[str, Any] = {
    **KEY,
    "commonLabels": {"team": "1"},
    "annotations": {"example": "yes"},
    "replicas": 2,
    "strategy": {"rollingUpdate": {"maxUnavailable": 1}},
    "revisionHistoryLimit": 2,
    "config": {"poll_interval": "1m", "web": {"route_prefix": "/together"}},
    "web": {"config": {"tls_server_config": {"cert_file": "/etc/together-exporter/tls/tls.crt"}}, "tlsSecret": "tls"},
    "extraArgs": ["--log.format=json"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "extraEnvFrom": [{"secretRef": {"name": "variables", "optional": True}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "initContainers": [{"name": "before", "image": "registry.example/a", "securityContext": RESTRICTED}],
    "extraContainers": [{"name": "beside", "image": "registry.example/b", "securityContext": RESTRICTED}],
    "extraManifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
    "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
    "dnsPolicy": "ClusterFirst",
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["api.example"]}],
    "startupProbe": {"failureThreshold": 30},
    "livenessProbe": {"failureThreshold": 5},
    "service": {
        "type": "LoadBalancer",
        "nodePort": 30170,
        "labels": {"expose": "yes"},
        "annotations": {"example": "yes"},
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/internal",
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    },
    "serviceMonitor": {
        "enabled": True,
        "interval": "1m",
        "honorLabels": True,
        "sampleLimit": 100_000,
        "targetLabels": ["expose"],
        "podTargetLabels": ["team"],
        "tlsConfig": {"ca": {"secret": {"name": "tls", "key": "ca.crt"}}},
        "relabelings": [{"action": "labeldrop", "regex": "pod"}],
        "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "python_.*"}],
    },
    "podMonitor": {"enabled": True, "podTargetLabels": ["team"]},
    "prometheusRule": {
        "enabled": True,
        "deploymentLabels": ["team"],
        "enabledAlerts": ["TogetherDeploymentDisappeared"],
    },
    "dashboards": {"enabled": True},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
    "podDisruptionBudget": {"enabled": True, "minAvailable": 1},
    "serviceAccount": {"annotations": {"example": "yes"}},
    "podAnnotations": {"example": "yes"},
    "podLabels": {"tier": "monitoring"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def with_values(folder: Path, values: dict[str, Any]) -> str:
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    return f"--values={file}"


def kinds(cluster: Cluster, namespace: str) -> set[str]:
    """Of what the release made, in which a namespace's own things and the pods do not count."""
    found = cluster.get(namespace, *OURS, *MORE)
    return {each["kind"] for each in found if "helm.sh/chart" in each["metadata"].get("labels", {})} - {"Pod"}


def pods(cluster: Cluster, namespace: str, owner: str) -> int:
    """Those that the controllers made and admission let through."""
    found = cluster.get(namespace, "pods")
    owners = [reference["kind"] for pod in found for reference in pod["metadata"].get("ownerReferences", [])]
    return owners.count(owner)


def refused(cluster: Cluster, namespace: str) -> list[str]:
    return [event["message"] for event in cluster.get(namespace, "events") if event["reason"] == "FailedCreate"]


def differences(cluster: Cluster, helm: str, namespace: str) -> str:
    manifest = cluster.run(helm, "get", "manifest", "demo", f"--namespace={namespace}")
    return cluster.differences(namespace, manifest)


@pytest.mark.parametrize("helm", HELM)
def test_a_release_is_installed_upgraded_sharded_rolled_back_and_removed(
    cluster: Cluster, helm: str, tmp_path: Path
) -> None:
    namespace = cluster.namespace(f"life-{helm}")
    where = f"--namespace={namespace}"
    notes = cluster.run(helm, "install", "demo", CHART, where, with_values(tmp_path, KEY))
    assert f"kubectl -n {namespace} exec deployment/demo-together-exporter -- together-exporter check --poll\n" in notes
    until(lambda: pods(cluster, namespace, "ReplicaSet") == 1, "the pod is admitted")
    assert kinds(cluster, namespace) == {"Deployment", "Service", "ConfigMap", "ServiceAccount"}
    assert differences(cluster, helm, namespace) == ""

    cluster.run(helm, "upgrade", "demo", CHART, where, with_values(tmp_path, EVERYTHING))
    until(lambda: pods(cluster, namespace, "ReplicaSet") >= 2, "the new pods are admitted")
    made = kinds(cluster, namespace)
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule", "NetworkPolicy", "PodDisruptionBudget", "Secret"} <= made
    assert differences(cluster, helm, namespace) == ""

    sharded = {**EVERYTHING, "replicas": 1, "strategy": {}, "sharding": {"total": 3}}
    cluster.run(helm, "upgrade", "demo", CHART, where, with_values(tmp_path, sharded))
    until(lambda: pods(cluster, namespace, "StatefulSet") == 3, "the shards are admitted")
    until(lambda: pods(cluster, namespace, "ReplicaSet") == 0, "the Deployment's pods are gone")
    assert "Deployment" not in kinds(cluster, namespace)
    indexes = {pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for pod in cluster.get(namespace, "pods")}
    assert indexes == {"0", "1", "2"}
    assert differences(cluster, helm, namespace) == ""

    cluster.run(helm, "rollback", "demo", "1", where)
    until(lambda: pods(cluster, namespace, "ReplicaSet") == 1, "the first revision's pod is there again")
    assert kinds(cluster, namespace) == {"Deployment", "Service", "ConfigMap", "ServiceAccount"}
    assert differences(cluster, helm, namespace) == ""
    assert refused(cluster, namespace) == []

    cluster.run(helm, "uninstall", "demo", where)
    until(lambda: kinds(cluster, namespace) == set(), "nothing is left")
    until(lambda: not cluster.get(namespace, "pods"), "no pod is left")


@pytest.mark.parametrize("helm", HELM)
@pytest.mark.parametrize("release", ["y", "123", "x" * 53], ids=["y", "123", "53 characters"])
@pytest.mark.parametrize("shards", [1, 2])
def test_the_server_admits_every_release_name(
    cluster: Cluster, helm: str, release: str, shards: int, tmp_path: Path
) -> None:
    values = with_values(tmp_path, {**KEY, "sharding": {"total": shards}, "serviceMonitor": {"enabled": True}})
    made = cluster.run(helm, "template", release, CHART, "--namespace=default", "--kube-version=1.31.4", values)
    cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=made)


@pytest.mark.parametrize("helm", HELM)
def test_the_pod_of_helm_test_is_admitted(cluster: Cluster, helm: str, tmp_path: Path) -> None:
    namespace = cluster.namespace(f"hook-{helm}")
    cluster.run(helm, "install", "demo", CHART, f"--namespace={namespace}", with_values(tmp_path, KEY))
    hooks = cluster.run(helm, "get", "hooks", "demo", f"--namespace={namespace}")
    assert "exporter.health" in hooks
    until(lambda: bool(cluster.get(namespace, "serviceaccounts")), "the namespace has its account")
    cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=hooks)


def test_the_namespace_refuses_what_is_not_restricted(cluster: Cluster) -> None:
    """Or the tests above would prove nothing."""
    namespace = cluster.namespace("restricted")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}}
    pod["spec"] = {"containers": [{"name": "root", "image": "registry.example/root"}]}
    command = ("kubectl", "apply", "--dry-run=server", "-f", "-")
    assert "violates PodSecurity" in cluster.run(*command, stdin=json.dumps(pod), check=False)


def test_the_plain_manifests_are_applied_by_the_server(cluster: Cluster) -> None:
    namespace = cluster.namespace("plain")
    made = cluster.run("kustomize", "build", PLAIN)
    for _ in range(2):
        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=made)
    cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", PLAIN / "prometheusrule.yml")
    until(lambda: pods(cluster, namespace, "ReplicaSet") == 1, "the pod is admitted")
    assert refused(cluster, namespace) == []
    assert cluster.differences(namespace, made, "--server-side") == ""
    assert "replicas: 2" in cluster.differences(namespace, made.replace("replicas: 1", "replicas: 2"), "--server-side")
    rules = (PLAIN / "prometheusrule.yml").read_text()
    assert cluster.differences(namespace, rules, "--server-side") == ""
    (stored,) = cluster.get(namespace, "prometheusrules")
    assert stored["spec"] == yaml.safe_load(rules)["spec"]
