"""The health check of containers, against a real daemon."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from exporter import health as program
from exporter.cli.options import SERVE_OPTIONS
from exporter.settings.model import ENV_PREFIX, WebSettings, option_name
from tests.conftest import SimulatorServer, free_port
from tests.e2e.conftest import Process, Start
from tests.unit.settings.test_web_config import HASH, MUTUAL, certify

TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}"
PASSWORD = f"basic_auth_users: {{alice: '{HASH}'}}"


def health(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "exporter.health", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("scheme", "web"),
    [
        ("http", "{}"),
        ("http", PASSWORD),
        ("https", TLS),
        ("https", f"{TLS}\n{PASSWORD}"),
        ("https", f"tls_server_config: {{{MUTUAL}}}"),
        ("https", f"tls_server_config: {{{MUTUAL}, max_version: TLS12}}"),
    ],
    ids=["plain", "password", "tls", "tls-password", "mutual-tls", "mutual-tls-1.2"],
)
def test_a_daemon_that_answers_is_well(
    steady: SimulatorServer, start: Start, tmp_path: Path, scheme: str, web: str
) -> None:
    certify(tmp_path, trustme.CA())
    (tmp_path / "web.yml").write_text(web)
    config = f"projects: [{{base_url: '{steady.url}'}}]"
    daemon = start(config, f"--web.config.file={tmp_path / 'web.yml'}", TOGETHER_API_KEY="k")
    address = daemon.url().removeprefix("http://")
    by_environment = health(TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS=address)
    assert (by_environment.returncode, by_environment.stderr) == (0, "")
    by_path = health("/-/ready", TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS=address)
    assert (by_path.returncode, by_path.stderr) == (0, "")
    by_url = health(f"{scheme}://{address}/-/ready")
    assert (by_url.returncode, by_url.stderr) == (0, "")
    other = {"http": "https", "https": "http"}[scheme]
    assert health(f"{other}://{address}/-/healthy").returncode == 1


def test_a_daemon_that_is_not_there_is_not_well() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = health(TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS=f":{address.rpartition(':')[2]}")
    assert done.returncode == 1
    assert f"http://{address}/-/healthy: " in done.stderr
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_answer_than_well_is_told(start: Start) -> None:
    config = f"poll_timeout: 5s\nprojects: [{{base_url: 'http://127.0.0.1:{free_port()}'}}]"
    daemon = start(config, TOGETHER_API_KEY="k")
    nowhere = health(f"{daemon.url()}/nowhere")
    assert nowhere.returncode == 1
    assert "answers 404" in nowhere.stderr


@pytest.mark.parametrize(
    ("config", "options", "environment"),
    [
        pytest.param("web: {{listen_address: '{address}'}}", [], {}, id="file"),
        pytest.param(
            "web: {{listen_address: ['{address}'], route_prefix: /a/b}}", [], {}, id="list and prefix in the file"
        ),
        pytest.param("{{}}", ["--web.listen-address={address}", "--web.route-prefix=/a"], {}, id="options"),
        pytest.param("{{}}", ["--web.listen-address", "{address}"], {}, id="option and value apart"),
        pytest.param("{{}}", [], {"WEB__LISTEN_ADDRESS": '["{address}"]', "WEB__ROUTE_PREFIX": "a"}, id="environment"),
        pytest.param("web: {{listen_address: ':1'}}", ["--web.listen-address={address}"], {}, id="option over file"),
    ],
)
def test_it_finds_the_daemon_wherever_its_address_is_configured(
    steady: SimulatorServer, tmp_path: Path, config: str, options: list[str], environment: dict[str, str]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    file = tmp_path / "c.yml"
    file.write_text(config.format(address=address))
    given = [option.replace("{address}", address) for option in options]
    env = {f"{ENV_PREFIX}{name}": value.replace("{address}", address) for name, value in environment.items()}
    env[program.PREFIX + "CONFIG__FILE"] = str(file)
    daemon = Process(["serve", *given], {**env, "TOGETHER_API_KEY": "k", "TOGETHER_BASE_URL": steady.url})
    try:
        daemon.url()
        done = health(*given, **env)
        assert (done.returncode, done.stderr) == (0, "")
        by_option = health(*given, "--config.file", str(file), **{k: v for k, v in env.items() if "FILE" not in k})
        assert (by_option.returncode, by_option.stderr) == (0, "")
    finally:
        daemon.stop()


def test_an_unreadable_file_is_named() -> None:
    done = health("--config.file=/nowhere.yml")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["/nowhere.yml: cannot be read: No such file or directory; check the path and its permissions"],
    )


def test_it_knows_where_the_daemon_listens_by_default() -> None:
    assert WebSettings().listen_address == (program.DEFAULT_ADDRESS,)
    assert ENV_PREFIX == program.PREFIX
    assert {program.FILE, program.ADDRESS, program.ROUTE_PREFIX} <= {
        option_name(path).removeprefix("--") for path in (*SERVE_OPTIONS, ("config", "file"))
    } | {"config.file"}
