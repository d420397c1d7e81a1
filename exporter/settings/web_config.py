"""Reads the web configuration file in the format of Prometheus' exporter-toolkit: TLS, client certificates, basic
auth."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from exporter.settings import file as config_file
from exporter.settings.durations import Duration
from exporter.settings.file import ConfigFile, KeyPath
from exporter.settings.problems import ConfigError, Problem, message
from exporter.settings.textfile import Unreadable, read_bytes

MAX_PEM = 2**20  # bytes of a file with certificates or a key
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
# Go's names, which the format uses, and OpenSSL's. TLS 1.3 has its own suites, which cannot be selected in either.
CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
TLS13_ONLY = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED = frozenset({"RequestClientCert", "RequireAnyClientCert"})
HEADER_VALUES = {"X-Frame-Options": ("deny", "sameorigin"), "X-Content-Type-Options": ("nosniff",)}
HEADERS = (
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """An evaluated web configuration. `tls`: None for plain HTTP. `users`: bcrypt hashes by name; without users there
    is no authentication. `rate`: (seconds per request, burst) or None. `files`: all files read, to detect changes."""

    tls: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: tuple[float, int] | None = None
    files: tuple[str, ...] = ()


def _bcrypt_hash(secret: SecretStr) -> SecretStr:
    if not BCRYPT.fullmatch(secret.get_secret_value()):
        raise ValueError("is not a bcrypt hash; create one with: htpasswd -nBC 10 USER")
    return secret


def _client_auth(kind: str) -> str:
    if kind in UNVERIFIED:
        raise ValueError(f"{kind} accepts unverified certificates; use RequireAndVerifyClientCert")
    if kind not in CLIENT_AUTH:
        raise ValueError(f"must be one of {', '.join(CLIENT_AUTH)}")
    return kind


def _cipher(name: str) -> str:
    if name in TLS13_ONLY:
        raise ValueError(f"{name} is a TLS 1.3 cipher suite, which cannot be configured; remove it")
    if name not in CIPHERS:
        raise ValueError(f"must be one of {', '.join(CIPHERS)}")
    return name


def _header(name: str) -> str:
    if name not in HEADERS:
        raise ValueError(f"is not a supported header; use one of {', '.join(HEADERS)}")
    return name


def _http2(enabled: bool) -> bool:
    if enabled:
        raise ValueError("HTTP/2 is not supported; set it to false or remove it")
    return enabled


Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsServerConfig(_Section):
    cert: str | None = None
    key: SecretStr | None = None
    client_ca: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    client_auth_type: Annotated[str, AfterValidator(_client_auth)] = "NoClientCert"
    client_ca_file: str | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Literal["CurveP256", "CurveP384", "CurveP521", "X25519"], ...], Field(max_length=1)
    ] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("cert", "key"):
            if (getattr(self, name) is None) == (getattr(self, f"{name}_file") is None):
                raise ValueError(f"needs one of {name}_file and {name}")
        if self.client_ca is not None and self.client_ca_file is not None:
            raise ValueError("has client_ca and client_ca_file; keep one")
        verifies = self.client_auth_type != "NoClientCert"
        has_ca = self.client_ca is not None or self.client_ca_file is not None
        if verifies != has_ca:
            raise ValueError("needs both or none of client_ca_file and a client_auth_type that verifies")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            raise ValueError("min_version is above max_version")
        return self


class HttpServerConfig(_Section):
    http2: Annotated[bool, AfterValidator(_http2)] = False
    headers: dict[Annotated[str, AfterValidator(_header)], str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _header_values(self) -> Self:
        for name, value in self.headers.items():
            choices = HEADER_VALUES.get(name)
            if value and choices and value.lower() not in choices:
                raise ValueError(f"{name} must be {' or '.join(choices)}")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"{name} contains characters not allowed in a header")
        return self


class RateLimit(_Section):
    interval: Duration = 0.0
    burst: int = Field(1, ge=1)


class WebConfigFile(_Section):
    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[str, Annotated[SecretStr, AfterValidator(_bcrypt_hash)]] = Field(default_factory=dict)
    rate_limit: RateLimit | None = None


KNOWN_KEYS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): tuple(WebConfigFile.model_fields),
    ("tls_server_config",): tuple(TlsServerConfig.model_fields),
    ("http_server_config",): tuple(HttpServerConfig.model_fields),
    ("rate_limit",): tuple(RateLimit.model_fields),
}


def read(name: str) -> WebConfig:
    """Raises ConfigError with all problems of the file and of the files it references."""
    contents = config_file.read(name)
    try:
        parsed = WebConfigFile.model_validate(contents.values)
    except ValidationError as error:
        raise ConfigError(
            [_problem(contents, d["loc"], message(d, KNOWN_KEYS)) for d in error.errors(include_url=False)]
        ) from None
    tls = parsed.tls_server_config
    folder = Path(name).parent
    rate = parsed.rate_limit
    return WebConfig(
        tls=_context(tls, contents, folder) if tls else None,
        allowed_sans=frozenset(tls.client_allowed_sans if tls else ()),
        users={user: secret.get_secret_value().encode() for user, secret in parsed.basic_auth_users.items()},
        headers={name: value for name, value in parsed.http_server_config.headers.items() if value},
        rate=(rate.interval, rate.burst) if rate and rate.interval else None,
        files=(name, *_files(tls, folder)),
    )


def _files(tls: TlsServerConfig | None, folder: Path) -> list[str]:
    names = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
    return [str(folder / name) for name in names if name]


def _context(tls: TlsServerConfig, contents: ConfigFile, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    if tls.cipher_suites:
        context.set_ciphers(":".join(CIPHERS[name] for name in tls.cipher_suites))
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.curve_preferences:
        context.set_ecdh_curve(CURVES[tls.curve_preferences[0]])
    _load_certificate(context, tls, contents, folder)
    _load_client_authority(context, tls, contents, folder)
    return context


def _load_certificate(context: ssl.SSLContext, tls: TlsServerConfig, contents: ConfigFile, folder: Path) -> None:
    cert = _existing(contents, "cert_file", folder, tls.cert_file)
    key = _existing(contents, "key_file", folder, tls.key_file)
    what = f"{cert} and {key}" if cert and key else "cert and key"
    try:
        with contextlib.ExitStack() as stack:
            cert = cert or stack.enter_context(_as_file(tls.cert or ""))
            key = key or stack.enter_context(_as_file(tls.key.get_secret_value() if tls.key else ""))
            context.load_cert_chain(cert, key, password=lambda: "")  # an encrypted key must not ask the terminal
    except (ssl.SSLError, ValueError):
        text = f"{what} are not a PEM certificate with its unencrypted private key; check that they match"
        raise ConfigError([_problem(contents, ("tls_server_config",), text)]) from None
    except OSError as error:
        raise ConfigError([_problem(contents, ("tls_server_config",), f"{what}: {error.strerror}")]) from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """Provides text as a file inside the context, because OpenSSL reads certificates and keys from files only. On Linux
    the file is in memory, so that a read-only file system is sufficient; elsewhere only its owner can read it."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "wb", buffering=0) as file:
            file.write(text.encode())
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            yield file.name


def _load_client_authority(context: ssl.SSLContext, tls: TlsServerConfig, contents: ConfigFile, folder: Path) -> None:
    name = _existing(contents, "client_ca_file", folder, tls.client_ca_file)
    try:
        if name or tls.client_ca:
            context.load_verify_locations(cafile=name, cadata=tls.client_ca)
    except (ssl.SSLError, ValueError, OSError):
        text = f"{name or 'client_ca'} contains no PEM certificate"
        raise ConfigError([_problem(contents, ("tls_server_config",), text)]) from None
    context.verify_mode = CLIENT_AUTH[tls.client_auth_type]


def _existing(contents: ConfigFile, key: str, folder: Path, name: str | None) -> str | None:
    """Returns the path of a file; relative paths are relative to the web configuration."""
    if name is None:
        return None
    path = str(folder / name)
    try:
        read_bytes(path, MAX_PEM)
    except Unreadable as error:
        raise ConfigError([_problem(contents, ("tls_server_config", key), f"{path} {error}")]) from None
    return path


def _problem(contents: ConfigFile, location: KeyPath | tuple[Any, ...], text: str) -> Problem:
    path = tuple(step for step in location if step != "[key]")
    return contents.problem(path, text)
