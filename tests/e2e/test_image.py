"""The image, built for real and run as a container runtime would: the first process, no root, nothing to write to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter import __version__
from tests import fetch
from tests.conftest import SimulatorServer, free_port, until

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/together-exporter:test"
UNCHECKED_HASH = 1  # of a .pyc: by hash, and not compared with the source
UNUSED = ("pygments", "markdown_it", "mdurl")  # what rich needs for more than tables
SEAL = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount -t tmpfs -o ro tmpfs "$1/dev/shm"
exec setpriv --no-new-privs unshare --root="$1" --setgid="$2" --setuid="$2" "${@:3}"
"""  # what `--read-only --cap-drop=ALL --security-opt=no-new-privileges` asks of an engine; the network is the host's

pytestmark = [
    pytest.mark.needs("buildah"),
    pytest.mark.needs("debootstrap"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may build an image without an engine"),
]


@dataclass(frozen=True)
class Image:
    config: dict[str, object]
    tree: Path

    def command(self, *arguments: str) -> list[str]:
        """Runs this in the image, as its user, with nothing writable."""
        uid = str(self.config["User"]).split(":")[0]
        assert uid.isdigit()
        sealed = ["bash", "-ec", SEAL, "seal", str(self.tree), uid, *arguments]
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", *sealed]

    def environment(self, **more: str) -> dict[str, str]:
        env = self.config["Env"]
        assert isinstance(env, list)
        own = dict(pair.split("=", 1) for pair in env)
        return {**own, "PATH": f"{own['PATH']}:/usr/sbin:/sbin", **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = self.environment(**environment)
        return subprocess.run(
            self.command(*arguments), env=env, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    built = subprocess.run([ROOT / "deploy/image/build.sh", IMAGE], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    inspected = json.loads(_output("buildah", "inspect", "--type", "image", IMAGE))
    container = _output("buildah", "from", IMAGE)
    try:
        yield Image(inspected["Docker"]["config"], Path(_output("buildah", "mount", container)))
    finally:
        _output("buildah", "rm", container)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _running(image: Image, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """The entry point as the first process of its own process namespace: (what started it, its ID here, its log)."""
    entry = image.config["Entrypoint"]
    assert isinstance(entry, list)
    log = Path(f"/tmp/together-exporter-image-{os.getpid()}.log")  # noqa: S108 - outside what the image can write to
    with log.open("w") as output:
        process = subprocess.Popen(
            image.command(*entry), env=image.environment(**environment), stdout=output, stderr=output, text=True
        )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: "msg=listening" in log.read_text() or process.poll() is not None, "it listens")
        assert process.poll() is None, log.read_text()
        yield process, int(children.read_text().split()[0]), log
    finally:
        process.kill()
        process.wait(30)
        log.unlink()


def test_it_runs_as_it_says_and_is_scraped(image: Image, steady: SimulatorServer) -> None:
    address = f"127.0.0.1:{free_port()}"
    listen = {"TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS": address}
    checks = image.config["Healthcheck"]
    assert isinstance(checks, dict)
    kind, *check = checks["Test"]
    assert kind == "CMD"
    assert image.run(*check, **listen).returncode == 1
    with _running(image, TOGETHER_API_KEY="k", TOGETHER_BASE_URL=steady.url, **listen) as (started, first, log):
        status = Path(f"/proc/{first}/status").read_text()
        assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)
        assert re.search(r"^Uid:\s+65532\s+65532\s+65532\s+65532$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0{16}$", status, re.MULTILINE)
        until(lambda: fetch.get(f"http://{address}/-/ready").status_code == 200, "it is ready")
        assert (
            'together_deployment_replicas_ready{deployment="chat-prod"' in fetch.get(f"http://{address}/metrics").text
        )
        checked = image.run(*check, **listen)
        assert (checked.returncode, checked.stderr) == (0, "")
        os.kill(first, signal.SIGHUP)
        until(lambda: "reloaded" in log.read_text(), "SIGHUP reaches it")
        os.kill(first, signal.SIGTERM)
        assert started.wait(30) == 0
        assert "Traceback" not in log.read_text()


def test_nothing_in_it_can_be_written_to(image: Image) -> None:
    tried = "import pathlib, tempfile; pathlib.Path(tempfile.gettempdir(), 'x').write_text('x')"
    done = image.run("python", "-c", tried)
    assert done.returncode == 1
    assert "No usable temporary directory" in done.stderr


def test_the_other_commands_are_there(image: Image) -> None:
    assert image.run("together-exporter", "--version").stdout == f"together-exporter {__version__}\n"
    assert image.run("together-exporter", "check").returncode == 2


def test_it_holds_what_it_needs_and_no_tool_to_make_it(image: Image) -> None:
    found = image.run(
        "python", "-c", "import importlib.util as u; print(*map(u.find_spec, ('pip', 'hatchling', 'pytest')))"
    )
    assert found.stdout.split() == ["None"] * 3, found.stderr
    for program in ("pip", "pip3", "gcc", "cc", "make", "git"):
        assert not any((image.tree / folder / program).exists() for folder in ("usr/bin", "usr/local/bin", "bin"))
    left = [
        path for path in ("src", "opt/build", "root/.cache", "var/cache/apt/archives") if (image.tree / path).exists()
    ]
    assert left == []
    assert [entry.name for entry in (image.tree / "opt").iterdir()] == ["together-exporter"]


def test_its_labels_tell_where_it_comes_from(image: Image) -> None:
    labels = image.config["Labels"]
    assert isinstance(labels, dict)
    annotations = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert annotations["version"] == __version__
    assert annotations["revision"].removesuffix("-dirty") == _output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", annotations["created"])
    assert {"title", "description", "source", "licenses"} <= annotations.keys()


def test_it_adds_to_the_base_what_the_readme_says(image: Image) -> None:
    size = sum(file.lstat().st_size for file in (image.tree / "opt").rglob("*") if not file.is_dir())
    documented = re.search(r"adds (\d+) MB to its base", (ROOT / "README.md").read_text())
    assert documented
    assert abs(size / 1e6 - int(documented[1])) < 1.5, f"{size / 1e6:.1f} MB"


def test_shared_objects_are_stripped(image: Image) -> None:
    objects = [file for file in (image.tree / "opt").rglob("*.so*") if file.is_file()]
    assert len(objects) > 5
    names = {file.name: file.read_bytes()[-8192:] for file in objects}  # the sections' names are at the end
    assert [name for name, sections in names.items() if b".symtab\0" in sections] == []
    assert all(b".dynamic\0" in sections for sections in names.values())


def test_bytecode_is_there_and_not_compared_with_its_source(image: Image) -> None:
    flags = {int.from_bytes(file.read_bytes()[4:8], "little") for file in (image.tree / "opt").rglob("*.pyc")}
    assert flags == {UNCHECKED_HASH}


def test_tables_are_printed_without_what_rich_needs_for_more(image: Image, steady: SimulatorServer) -> None:
    found = image.run("python", "-c", f"import importlib.util as u; print(*map(u.find_spec, {UNUSED}))")
    assert found.stdout.split() == ["None"] * 3, found.stderr
    checked = image.run("together-exporter", "check", "--poll", TOGETHER_API_KEY="k", TOGETHER_BASE_URL=steady.url)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "chat-prod" in checked.stdout


def test_a_base_without_a_shell_works() -> None:
    final = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert final.startswith("${BASE}\n")
    assert not re.search("^(RUN|SHELL|HEALTHCHECK .*CMD [^[]|ENTRYPOINT [^[])", final, re.MULTILINE)


def test_the_base_is_pinned_by_digest() -> None:
    assert re.search("^ARG BASE=[^@]+@sha256:[0-9a-f]{64}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_python_is_one_that_we_support(image: Image) -> None:
    assert image.run("python", "-c", "import sys; assert sys.version_info >= (3, 11)").returncode == 0, sys.version
