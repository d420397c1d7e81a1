"""TLS and basic auth as an operator meets them: the real daemon, its files replaced under it."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, until
from tests.e2e.conftest import Process, Start
from tests.e2e.test_daemon import listing
from tests.unit.settings.test_web_config import CERTIFIED, HASH, certify

AUTH = ("alice", "pw")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    certify(tmp_path, authority)
    return authority


def ask(daemon: Process, authority: trustme.CA, auth: tuple[str, str] | None = AUTH) -> httpx.Response:
    url = daemon.url().replace("http:", "https:")
    return fetch.get(f"{url}/metrics", verify=trusting(authority), auth=auth)


def is_served(daemon: Process, authority: trustme.CA) -> bool:
    try:
        return ask(daemon, authority).status_code == 200
    except httpx.TransportError:
        return False


def test_tls_and_a_password_that_are_replaced_while_it_runs(
    steady: SimulatorServer, start: Start, tmp_path: Path, authority: trustme.CA
) -> None:
    web = tmp_path / "web.yml"
    both = f"tls_server_config: {{{CERTIFIED}}}\nbasic_auth_users: {{alice: '{HASH}'}}\n"
    web.write_text(both)
    daemon = start(listing(steady), f"--web.config.file={web}", TOGETHER_API_KEY=API_KEY)
    assert is_served(daemon, authority)
    nobody = ask(daemon, authority, None)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Basic realm="together-exporter"')
    assert ask(daemon, authority, ("alice", "guess")).status_code == 401

    newer = trustme.CA()
    certify(tmp_path, newer)
    assert (is_served(daemon, authority), is_served(daemon, newer)) == (False, True)

    web.write_text(both.replace("alice: '", "alice: 'not-"))
    page = ask(daemon, newer).text
    assert "together_exporter_config_last_reload_successful 0.0" in page.splitlines()
    until(lambda: daemon.logs('msg="web configuration reload failed"'), "it is logged")
    assert daemon.logs("basic_auth_users.alice: is not a bcrypt hash")

    web.write_text(f"tls_server_config: {{{CERTIFIED}}}\n")
    page = ask(daemon, newer, None).text
    assert "together_exporter_config_last_reload_successful 1.0" in page.splitlines()
    assert daemon.stop() == 0
    assert HASH not in daemon.log


def test_a_web_configuration_that_cannot_be_kept_ends_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: no.pem, key_file: no.pem}")
    daemon = start("", f"--web.config.file={tmp_path / 'web.yml'}", TOGETHER_API_KEY=API_KEY)
    assert daemon.popen.wait(30) == 2
    until(
        lambda: (
            daemon.logs("web.yml:1: tls_server_config.cert_file: ")
            and daemon.logs("no.pem cannot be read: No such file")
        ),
        "it says why",
    )
