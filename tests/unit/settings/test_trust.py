"""Which certificate authorities are trusted, and what is wrong with those that are named."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from exporter.settings.trust import TrustRefused, tls_context


@pytest.fixture
def authority(tmp_path: Path) -> str:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def certificates(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_by_default_the_systems_authorities_verify() -> None:
    context = tls_context(None, {})
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert tls_context(None, {}) is context


def test_a_file_takes_the_place_of_the_systems(authority: str) -> None:
    assert certificates(tls_context(authority, {})) == 1
    assert certificates(tls_context(None, {"SSL_CERT_FILE": authority})) == 1
    assert certificates(tls_context(authority, {"SSL_CERT_FILE": "/nowhere"})) == 1, "ca_file comes first"


def test_the_same_content_is_the_same_context_and_another_is_not(authority: str) -> None:
    first = tls_context(authority, {})
    assert tls_context(authority, {}) is first
    trustme.CA().cert_pem.write_to_path(authority)
    assert tls_context(authority, {}) is not first


def test_a_bundle_may_have_comments_that_are_no_ascii(authority: str) -> None:
    Path(authority).write_text(f"# Autorité\n{Path(authority).read_text()}", encoding="utf-8")
    assert certificates(tls_context(authority, {})) == 1


def test_a_directory_needs_names_that_openssl_finds(authority: str) -> None:
    folder = Path(authority).parent
    with pytest.raises(TrustRefused, match="run openssl rehash on it") as caught:
        tls_context(None, {"SSL_CERT_DIR": str(folder)})
    assert caught.value.variable == "SSL_CERT_DIR"
    Path(authority).rename(folder / "0a1b2c3d.0")
    assert tls_context(None, {"SSL_CERT_DIR": f"{folder}:{folder}"}).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "/nowhere/ca.pem cannot be read: No such file or directory"),
        ({"SSL_CERT_FILE": "/dev/null"}, "/dev/null is a device; name a regular file"),
        ({"SSL_CERT_FILE": "/"}, "/ is a directory; name a regular file"),
        ({"SSL_CERT_FILE": __file__}, "contains no valid PEM certificates"),
        ({"SSL_CERT_DIR": "/nowhere"}, "cannot be read: No such file or directory"),
    ],
    ids=["missing", "device", "directory", "not PEM", "missing directory"],
)
def test_a_variable_that_names_no_authority_is_refused_by_its_name(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(TrustRefused) as caught:
        tls_context(None, environ)
    assert [caught.value.variable] == list(environ)
    assert reason in str(caught.value)


def test_a_broken_certificate_is_refused(authority: str) -> None:
    text = Path(authority).read_text()
    Path(authority).write_text(text + text.replace("MII", "AAA"))
    with pytest.raises(TrustRefused, match="contains no valid PEM certificates"):
        tls_context(authority, {})


def test_empty_variables_are_none() -> None:
    assert tls_context(None, {"SSL_CERT_FILE": " ", "SSL_CERT_DIR": ""}) is tls_context(None, {})
