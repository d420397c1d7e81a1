"""Environments that nobody chose: each one works, or ends in one line that names what to correct."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests import fetch
from tests.canaries import API_KEY
from tests.conftest import SimulatorServer, free_port, until
from tests.e2e.conftest import Process, Start, run
from tests.unit.settings.test_web_config import certify

KEY = {"TOGETHER_API_KEY": API_KEY}

REFUSED = {
    "SOCKS proxy": ({"HTTPS_PROXY": "socks5h://u:p@proxy:1080"}, "HTTPS_PROXY: SOCKS proxies are not supported"),
    "SOCKS proxy for all": ({"ALL_PROXY": "socks5://proxy:1080"}, "ALL_PROXY: SOCKS proxies are not supported"),
    "proxy's port": ({"https_proxy": "http://proxy:99999"}, "https_proxy: has a port that is not between"),
    "proxy's scheme": ({"HTTPS_PROXY": "ftp://proxy"}, "HTTPS_PROXY: must begin with http:// or https://"),
    "missing authorities": ({"SSL_CERT_FILE": "/nowhere"}, "SSL_CERT_FILE: /nowhere cannot be read: No such file"),
    "broken authorities": (
        {"SSL_CERT_FILE": __file__},
        f"SSL_CERT_FILE: {__file__} contains no valid PEM certificates",
    ),
    "missing directory": ({"SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR: cannot be read: No such file"),
    "empty key": ({"TOGETHER_API_KEY": ""}, "TOGETHER_API_KEY: is empty; set it, or unset it"),
    "quoted key": ({"TOGETHER_API_KEY": f'"{API_KEY}"'}, "TOGETHER_API_KEY: has quotes around its value"),
    "unexpanded key": ({"TOGETHER_API_KEY": "${KEY}"}, "TOGETHER_API_KEY: contains an unexpanded variable reference"),
    "no UTF-8": ({"TOGETHER_BASE_URL": "http://\udcff"}, "TOGETHER_BASE_URL: is not UTF-8 text"),
    "refused by idna": ({"TOGETHER_BASE_URL": "https://é..x/v1"}, "TOGETHER_BASE_URL: is not a valid URL"),
    "refused by the resolver": ({"TOGETHER_BASE_URL": "https://a..b/v1"}, "TOGETHER_BASE_URL: is not a valid URL"),
    "punycode": ({"TOGETHER_BASE_URL": "https://xn--/v1"}, "TOGETHER_BASE_URL: is not a valid URL"),
    "query": ({"TOGETHER_BASE_URL": "https://h/v1?x"}, "TOGETHER_BASE_URL: must not have a query"),
    "mistyped": ({"TOGETHER_EXPORTER_LOG_LEVEL": "debug"}, "did you mean TOGETHER_EXPORTER_LOG__LEVEL?"),
    "no port": ({"TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS": "localhost"}, '"localhost" has no port'),
    "port": ({"TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS": ":99999"}, '":99999" has a port above 65535'),
    "no file": ({"TOGETHER_EXPORTER_CONFIG__FILE": "/nowhere"}, "/nowhere: cannot be read: No such file"),
    "a pipe as file": ({"TOGETHER_EXPORTER_CONFIG__FILE": "/dev/stdin"}, "/dev/stdin: is a "),
}


@pytest.mark.parametrize("command", ["serve", "check", "once"])
@pytest.mark.parametrize(("environ", "line"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_one_line_and_exit_code_2(command: str, environ: dict[str, str], line: str) -> None:
    done = run(command, **{**KEY, **environ})
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert line in done.stderr


WORKS = {
    "IPv6 and networks in NO_PROXY": {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "10.0.0.0/8,fd00::/8,[::1]"},
    "a proxy and a loopback address": {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"},
    "authorities that nothing needs": {"SSL_CERT_FILE": "/nowhere"},
    "links to services": {"TOGETHER_EXPORTER_EU_PORT_10170_TCP": "tcp://h", "TOGETHER_EXPORTER_SERVICE_HOST": "h"},
    "carriage returns": {"TOGETHER_API_KEY": f"{API_KEY}\r", "TOGETHER_EXPORTER_LOG__LEVEL": " info\r"},
    "ASCII": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "forced colours": {"FORCE_COLOR": "1"},
    "a dumb terminal": {"TERM": "dumb", "COLUMNS": "1"},
    "no home, no path": {"HOME": "/nowhere", "PATH": ""},
}


@pytest.mark.parametrize("command", [["check", "--poll"], ["once"]], ids=["check", "once"])
@pytest.mark.parametrize("environ", WORKS.values(), ids=WORKS)
def test_what_is_merely_odd_works(command: list[str], environ: dict[str, str], steady: SimulatorServer) -> None:
    done = run(*command, **{**KEY, "TOGETHER_BASE_URL": f" {steady.url}/\n", **environ})
    assert (done.returncode, done.stderr) == (0, "")
    assert "chat-prod" in done.stdout
    assert "\x1b[?" not in done.stdout, "no cursor control"


CHANGES = {
    "refused by idna": ("projects: [{base_url: 'https://é..x/v1'}]", "projects[0].base_url: is not a valid URL"),
    "impossible date": ("poll_interval: 2026-13-45", "poll_interval: is not a valid timestamp"),
    "aliases": ("a: &a [x]\nb: &b [*a, *a]\nc: &c [*c, *b]", "expands to too many values"),
    "two documents": ("a: 1\n---\nb: 2", "has a second document"),
    "no file": ("projects: [{ca_file: nowhere}]", "projects[0].ca_file: "),
    "regular expression": ("projects: [{include: ['(?!x)']}]", "projects[0].include[0]: is not a regular expression"),
}


@pytest.mark.parametrize(("text", "problem"), CHANGES.values(), ids=CHANGES)
def test_a_reload_refuses_the_same_and_the_old_configuration_stays(
    text: str, problem: str, start: Start, steady: SimulatorServer, tmp_path: Path
) -> None:
    daemon = start(f"projects: [{{base_url: '{steady.url}'}}]", "--web.enable-lifecycle", **KEY)
    daemon.url()
    file = tmp_path / "together-exporter.yml"
    file.write_text(text)
    response = fetch.post(f"{daemon.url()}/-/reload")
    assert (response.status_code, problem in response.text) == (500, True), response.text
    assert response.text.startswith(f"{file}:")
    until(lambda: daemon.shows("together_exporter_config_last_reload_successful 0.0"), "the metric shows it")
    until(lambda: daemon.logs("configuration reload failed"), "it is logged")
    done = run("check", f"--config.file={file}", **KEY)
    assert (done.returncode, problem in done.stderr) == (2, True)


def test_a_host_that_cannot_be_resolved_is_named() -> None:
    done = run("serve", "--web.listen-address=foo.invalid:1", **KEY)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert '"foo.invalid:1" has a host that cannot be resolved' in done.stderr


def test_several_addresses_and_a_prefix(steady: SimulatorServer) -> None:
    ports = [free_port(), free_port()]
    options = [f"--web.listen-address=127.0.0.1:{port}" for port in ports]
    daemon = Process(["serve", *options, "--web.route-prefix=/together/"], {**KEY, "TOGETHER_BASE_URL": steady.url})
    try:
        daemon.url()
        for port in ports:
            assert fetch.get(f"http://127.0.0.1:{port}/together/metrics").status_code == 200
            assert fetch.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
        page = fetch.get(f"http://127.0.0.1:{ports[0]}/", follow_redirects=True)
        assert (str(page.url), page.status_code) == (f"http://127.0.0.1:{ports[0]}/together/", 200)
        assert 'href="metrics"' in page.text
    finally:
        assert daemon.stop() == 0


@pytest.mark.parametrize("host", ["", "[::]"])
def test_an_ipv6_address_for_all_takes_ipv4_too(host: str, steady: SimulatorServer) -> None:
    port = free_port()
    daemon = Process(["serve", f"--web.listen-address={host}:{port}"], {**KEY, "TOGETHER_BASE_URL": steady.url})
    try:
        until(lambda: daemon.logs("listening"), "it listens")
        for address in ("127.0.0.1", "[::1]"):
            assert fetch.get(f"http://{address}:{port}/-/healthy").status_code == 200
    finally:
        assert daemon.stop() == 0


def test_inline_certificates_need_no_writable_directory(tmp_path: Path) -> None:
    certify(tmp_path, trustme.CA())
    parts = {"cert": "cert.pem", "key": "key.pem"}
    lines = [f"  {key}: {(tmp_path / name).read_text()!r}".replace("'", '"') for key, name in parts.items()]
    (tmp_path / "web.yml").write_text("\n".join(["tls_server_config:", *lines]))
    code = (
        "import sys, tempfile\n"
        "def refuse(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], str) and arguments[2] & 3:\n"
        "        raise SystemExit(f'opened for writing: {arguments[0]}')\n"
        "sys.addaudithook(refuse)\n"
        "from exporter.settings.web_config import read\n"
        "print(read(sys.argv[1]).tls is not None)\n"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "web.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
