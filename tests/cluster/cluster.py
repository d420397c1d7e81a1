"""An API server with its controllers and no nodes: pods are admitted and made, and never start."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import ROOT, free_port, until

TOOLS = ROOT / ".tools"
TOKEN = "admin"


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path

    def run(self, *command: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Its output. Raises AssertionError with the output, if `check`."""
        path = f"{TOOLS / 'bin'}:{os.environ['PATH']}"
        home = str(self.kubeconfig.parent)  # Helm's cache, configuration and data
        environment = {"PATH": path, "KUBECONFIG": str(self.kubeconfig), "HOME": home}
        done = subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        return self.run("kubectl", *arguments, stdin=stdin)

    def get(self, namespace: str, *what: str) -> list[dict[str, Any]]:
        listed = yaml.safe_load(self.kubectl("get", "-n", namespace, "-o", "yaml", ",".join(what)))
        items = listed["items"]
        assert isinstance(items, list)
        return items

    def differences(self, namespace: str, manifests: str, *options: str) -> str:
        """What applying them would change; empty where all is as they say."""
        return self.run("kubectl", "diff", "-n", namespace, *options, "-f", "-", stdin=manifests, check=False)

    def namespace(self, name: str) -> str:
        """One that admits only pods that keep to the `restricted` standard, with a key in it."""
        self.kubectl("create", "namespace", name)
        self.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        self.kubectl("create", "secret", "generic", "together", "-n", name, "--from-literal=api-key=not-a-real-key")
        return name


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """etcd, kube-apiserver and kube-controller-manager on free ports, with the operator's CRDs."""
    etcd, peer, api = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    port = api.rpartition(":")[2]
    key = folder / "service-account.pem"
    key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"https://127.0.0.1:{port}")))
    with ExitStack() as stack:
        start = [
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        stack.enter_context(_process(start, folder, f"{etcd}/health"))
        start = [
            str(TOOLS / "bin" / "kube-apiserver"),
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
        ]
        stack.enter_context(_process(start, folder, f"https://127.0.0.1:{port}/readyz"))
        start = [
            str(TOOLS / "bin" / "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={key}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--cert-dir={folder / 'certificates'}",
        ]
        stack.enter_context(_process(start, folder, None))
        cluster = Cluster(kubeconfig)
        cluster.kubectl("apply", "--server-side", "-f", TOOLS / "crds")
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield cluster


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


@contextmanager
def _process(command: list[str], folder: Path, url: str | None) -> Iterator[None]:
    """A program, once it answers at the URL."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or url is None or _answers(url), f"{command[0]} is ready")
        assert process.poll() is None, log.read_text()[-3000:]
        yield
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(url, verify=False, headers=headers, timeout=5).status_code == 200  # noqa: S501 - made for the test
    except httpx.HTTPError:
        return False
