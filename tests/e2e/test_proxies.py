"""Proxies and private certificate authorities, through real ones."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.canaries import API_KEY
from tests.e2e.conftest import run

ANSWER = b'{"object": "list", "data": []}'


class Api(http.server.BaseHTTPRequestHandler):
    """Answers every GET, also one meant for a proxy, with an empty list."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append(self.requestline)  # type: ignore[attr-defined]  # set below
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        pass


class Proxy(Api):
    """Connects to any address, here the server behind it."""

    def do_CONNECT(self) -> None:
        self.server.seen.append(f"{self.requestline} {self.headers.get('Proxy-Authorization')}")  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.server.behind)) as other:  # type: ignore[attr-defined]
            back = threading.Thread(target=relay, args=(other, self.connection))
            back.start()
            relay(self.connection, other)
            back.join()
        self.close_connection = True


def relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serving(handler: type[Api], tls: ssl.SSLContext | None = None, behind: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The port, and the request lines that came in."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    seen: list[str] = []
    server.seen, server.behind = seen, behind  # type: ignore[attr-defined]  # for the handlers
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that refuses the certificate
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Site:
    """A certificate authority, and an API of that authority under a name that only a proxy knows."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("api.example", "127.0.0.1").configure_cert(self.tls)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def polled(config: Path, text: str, **environ: str) -> tuple[int, str]:
    config.write_text(text)
    done = run("check", "--poll", f"--config.file={config}", TOGETHER_API_KEY=API_KEY, **environ)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_plain_api_is_reached_through_a_proxy(tmp_path: Path) -> None:
    text = "projects: [{base_url: 'http://api.example'}]"
    with serving(Proxy) as (port, seen):
        code, output = polled(tmp_path / "c.yml", text, HTTP_PROXY=f"127.0.0.1:{port}", NO_PROXY="10.0.0.0/8,fd00::/8")
    assert (code, seen) == (0, ["GET http://api.example/v1/deployments HTTP/1.1"]), output


@pytest.mark.parametrize("by", ["ca_file", "SSL_CERT_FILE"])
def test_an_encrypted_api_is_reached_through_a_proxy_and_verified(by: str, site: Site, tmp_path: Path) -> None:
    more, environ = (", ca_file: ca.pem", {}) if by == "ca_file" else ("", {"SSL_CERT_FILE": site.ca})
    text = f"projects: [{{base_url: 'https://api.example'{more}}}]"
    with serving(Api, site.tls) as (api, requests), serving(Proxy, behind=api) as (port, seen):
        proxy = f"http://user:pw@127.0.0.1:{port}"
        code, output = polled(tmp_path / "c.yml", text, HTTPS_PROXY=proxy, **environ)
    assert code == 0, output
    assert seen == ["CONNECT api.example:443 HTTP/1.1 Basic dXNlcjpwdw=="]
    assert requests == ["GET /v1/deployments HTTP/1.1"]
    assert "user:pw" not in output


def test_a_proxy_may_be_encrypted_itself(site: Site, tmp_path: Path) -> None:
    text = "projects: [{base_url: 'https://api.example', ca_file: ca.pem}]"
    with serving(Api, site.tls) as (api, requests), serving(Proxy, site.tls, behind=api) as (port, _):
        code, output = polled(tmp_path / "c.yml", text, HTTPS_PROXY=f"https://127.0.0.1:{port}")
    assert (code, requests) == (0, ["GET /v1/deployments HTTP/1.1"]), output


def test_a_host_in_no_proxy_is_reached_directly(site: Site, tmp_path: Path) -> None:
    with serving(Api, site.tls) as (api, requests), serving(Proxy) as (port, seen):
        text = f"projects: [{{base_url: 'https://127.0.0.1:{api}', ca_file: ca.pem}}]"
        code, output = polled(tmp_path / "c.yml", text, HTTPS_PROXY=f"http://127.0.0.1:{port}")
    assert (code, len(requests), seen) == (0, 1, []), output


def test_a_failed_verification_names_what_to_set(site: Site, tmp_path: Path) -> None:
    with serving(Api, site.tls) as (api, requests):
        code, output = polled(tmp_path / "c.yml", f"projects: [{{base_url: 'https://127.0.0.1:{api}'}}]")
    assert (code, requests) == (1, [])
    assert "certificate verification failed: " in output
    assert "set ca_file or SSL_CERT_FILE to the CA certificate" in output
