"""Every documented key of the exporter-toolkit's format, and each mistake with its hint."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
import structlog
import trustme
from cryptography.hazmat.primitives import serialization

from exporter.settings.problems import ConfigError
from exporter.settings.watched import WatchedWebConfig
from exporter.settings.web_config import WebConfig, read

HASH = "$2b$04$COtepc4uRONW0FgqsNQbV.r6pXuBNUNNjwCr9VjQiXrvkxmPC0dS."  # of "pw"
CERTIFIED = "cert_file: cert.pem, key_file: key.pem"
MUTUAL = f"{CERTIFIED}, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert"


def certify(folder: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certify(tmp_path, trustme.CA())
    return tmp_path


def lock(key: Path, locked: Path) -> None:
    """The same key, encrypted."""
    pem, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    opened = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(opened.private_bytes(pem, format_, serialization.BestAvailableEncryption(b"x")))


def configured(folder: Path, text: str) -> WebConfig:
    (folder / "web.yml").write_text(text)
    return read(str(folder / "web.yml"))


def test_an_empty_file_asks_for_nothing(folder: Path) -> None:
    config = configured(folder, "")
    assert (config.tls, config.users, config.headers, config.rate) == (None, {}, {}, None)


def test_everything_at_once(folder: Path) -> None:
    config = configured(
        folder,
        f"""
tls_server_config:
  {MUTUAL.replace(", ", chr(10) + "  ")}
  client_allowed_sans: [client.example]
  min_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config: {{http2: false, headers: {{X-Frame-Options: sameorigin, Content-Security-Policy: ""}}}}
basic_auth_users: {{alice: '{HASH}'}}
rate_limit: {{interval: 500ms, burst: 3}}
""",
    )
    assert config.tls is not None
    assert (config.tls.verify_mode, config.tls.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3)
    assert not config.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert config.allowed_sans == {"client.example"}
    assert config.users == {"alice": HASH.encode()}
    assert config.headers == {"X-Frame-Options": "sameorigin"}
    assert config.rate == (0.5, 3)
    assert [Path(name).name for name in config.files] == ["web.yml", "cert.pem", "key.pem", "ca.pem"]
    assert HASH not in repr(config)


def test_certificate_and_key_may_stand_in_the_file(folder: Path) -> None:
    parts = {"cert": "cert.pem", "key": "key.pem", "client_ca": "ca.pem"}
    texts = [f"  {key}: {(folder / name).read_text()!r}".replace("'", '"') for key, name in parts.items()]
    text = "\n".join(["tls_server_config:", "  client_auth_type: VerifyClientCertIfGiven", *texts])
    tls = configured(folder, text).tls
    assert tls is not None
    assert tls.verify_mode == ssl.CERT_OPTIONAL


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    "text",
    [
        f"tls_server_config: {{{CERTIFIED}}}",
        f"tls_server_config: {{{MUTUAL}, min_version: TLS12, max_version: TLS13}}",
        f"tls_server_config: {{{CERTIFIED}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}}",
        f"tls_server_config: {{{CERTIFIED}, curve_preferences: [CurveP256]}}",
        "http_server_config: {http2: false, headers: {X-Content-Type-Options: nosniff}}",
        f"basic_auth_users: {{alice: '{HASH}'}}",
    ],
)
def test_what_is_accepted_here_is_accepted_by_prometheus(text: str, folder: Path) -> None:
    assert configured(folder, text)
    done = subprocess.run(["promtool", "check", "web-config", "web.yml"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server_confg: {}", 'did you mean "tls_server_config"?'),
        ("tls_server_config: {cert_fil: x}", 'did you mean "cert_file"?'),
        ("tls_server_config: {cert_file: cert.pem}", "tls_server_config: needs one of key_file and key"),
        ("tls_server_config: {}", "needs one of cert_file and cert"),
        ("tls_server_config: {cert_file: no.pem, key_file: key.pem}", "no.pem cannot be read: No such file"),
        (
            "tls_server_config: {cert_file: key.pem, key_file: key.pem}",
            "are not a PEM certificate with its unencrypted",
        ),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: locked.pem}",
            "are not a PEM certificate with its unencrypted",
        ),
        (f"tls_server_config: {{{CERTIFIED}, client_ca_file: key.pem}}", "needs both or none of client_ca_file and"),
        (f"tls_server_config: {{{MUTUAL.replace('ca.pem', 'key.pem')}}}", "key.pem contains no PEM certificate"),
        (
            f"tls_server_config: {{{CERTIFIED}, client_auth_type: RequireAnyClientCert}}",
            "accepts unverified certificates",
        ),
        (f"tls_server_config: {{{CERTIFIED}, client_auth_type: Yes please}}", "must be one of NoClientCert"),
        (f"tls_server_config: {{{CERTIFIED}, client_allowed_sans: [a]}}", "needs client_auth_type"),
        (f"tls_server_config: {{{CERTIFIED}, cipher_suites: [RC4]}}", "must be one of TLS_RSA_WITH"),
        (f"tls_server_config: {{{CERTIFIED}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}", "is a TLS 1.3 cipher suite"),
        (f"tls_server_config: {{{CERTIFIED}, min_version: TLS13, max_version: TLS12}}", "is above max_version"),
        (f"tls_server_config: {{{CERTIFIED}, min_version: SSL3}}", "must be 'TLS10'"),
        (f"tls_server_config: {{{CERTIFIED}, curve_preferences: [X25519, CurveP256]}}", "at most 1 item"),
        ("http_server_config: {http2: true}", "HTTP/2 is not supported"),
        ("http_server_config: {headers: {Server: x}}", "is not a supported header"),
        ("http_server_config: {headers: {X-Frame-Options: maybe}}", "must be deny or sameorigin"),
        ('http_server_config: {headers: {Content-Security-Policy: "a\\nb: c"}}', "characters not allowed in a header"),
        ("basic_auth_users: {alice: plaintext}", "basic_auth_users.alice: is not a bcrypt hash"),
        ("rate_limit: {interval: 5}", "write"),
        ("[", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_hint(text: str, message: str, folder: Path) -> None:
    lock(folder / "key.pem", folder / "locked.pem")
    with pytest.raises(ConfigError) as raised:
        configured(folder, text)
    assert message in str(raised.value)
    assert "plaintext" not in str(raised.value)
    assert str(raised.value).startswith(str(folder / "web.yml"))


def test_a_changed_file_is_picked_up_and_a_bad_one_leaves_the_one_before(folder: Path) -> None:
    name = str(folder / "web.yml")
    watched = WatchedWebConfig(name, configured(folder, f"tls_server_config: {{{CERTIFIED}}}"))
    first = watched.current()
    assert watched.current() is first
    certify(folder, trustme.CA())
    second = watched.current()
    assert second.tls is not first.tls
    with structlog.testing.capture_logs() as lines:
        (folder / "web.yml").write_text("basic_auth_users: {alice: plain}")
        assert [watched.current(), watched.current()] == [second, second]
    assert [line["event"] for line in lines] == ["web configuration reload failed"]
    assert "alice" in (watched.problem or "")
    (folder / "web.yml").write_text(f"basic_auth_users: {{alice: '{HASH}'}}")
    assert watched.current().users
    assert watched.problem is None


def test_a_certificate_that_is_missing_for_a_while_changes_nothing(folder: Path) -> None:
    name = str(folder / "web.yml")
    watched = WatchedWebConfig(name, configured(folder, f"tls_server_config: {{{CERTIFIED}}}"))
    first = watched.current()
    (folder / "cert.pem").rename(folder / "away.pem")
    assert watched.current() is first
    assert "cannot be read" in (watched.problem or "")
    (folder / "away.pem").rename(folder / "cert.pem")
    assert watched.current() is not first
    assert watched.problem is None
