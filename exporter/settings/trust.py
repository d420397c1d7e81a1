"""Builds the TLS context that verifies a project's API."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import ssl
from collections.abc import Mapping

import httpx

from exporter.settings.textfile import Unreadable, read_bytes

FILE_VARIABLE, DIRECTORY_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"  # OpenSSL's
MAX_BUNDLE = 16 * 2**20  # bytes; the usual bundle of all public authorities is 0.2 MiB
MAX_CACHED = 256  # contexts
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")  # file names by which OpenSSL finds certificates in a directory


class TrustRefused(Exception):
    """`variable`: the variable to correct; None for the project's `ca_file`. The message gives the reason and a
    hint."""

    def __init__(self, variable: str | None, message: str) -> None:
        super().__init__(message)
        self.variable = variable


def tls_context(ca_file: str | None, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Returns the same object for equal files, so that an unchanged project compares equal after a reload.

    Raises TrustRefused."""
    if ca_file is not None:
        return _from_file(ca_file, None, "")
    file = environ.get(FILE_VARIABLE, "").strip()
    directory = environ.get(DIRECTORY_VARIABLE, "").strip()
    if directory:
        _check_directories(directory)
    if file:
        return _from_file(file, FILE_VARIABLE, directory)
    return _context("", "", directory) if directory else _system()


def _from_file(name: str, variable: str | None, directory: str) -> ssl.SSLContext:
    try:
        digest = hashlib.sha256(read_bytes(name, MAX_BUNDLE)).hexdigest()
        return _context(name, digest, directory)
    except Unreadable as error:
        raise TrustRefused(variable, f"{name} {error}") from None
    except (ssl.SSLError, OSError):
        text = f"{name} contains no valid PEM certificates; set it to a file with your CA certificate"
        raise TrustRefused(variable, text) from None


def _check_directories(directories: str) -> None:
    try:
        names = [name for directory in directories.split(os.pathsep) if directory for name in os.listdir(directory)]
    except OSError as error:
        raise TrustRefused(DIRECTORY_VARIABLE, f"cannot be read: {error.strerror}; check the path") from None
    if not any(map(HASHED_NAME.fullmatch, names)):
        text = "has no certificates that OpenSSL finds; run openssl rehash on it, or set SSL_CERT_FILE"
        raise TrustRefused(DIRECTORY_VARIABLE, text)


@functools.lru_cache(maxsize=MAX_CACHED)
def _context(file: str, digest: str, directories: str) -> ssl.SSLContext:  # noqa: ARG001 - another content, another context
    first, *more = [*filter(None, directories.split(os.pathsep)), ""]
    context = ssl.create_default_context(cafile=file or None, capath=first or None)
    for directory in filter(None, more):
        context.load_verify_locations(capath=directory)
    return context


@functools.cache
def _system() -> ssl.SSLContext:
    """Uses the system's certificate authorities, or those of httpx if the system has none."""
    paths = ssl.get_default_verify_paths()
    hashed = os.listdir(paths.capath) if paths.capath else []
    if paths.cafile or any(map(HASHED_NAME.fullmatch, hashed)):
        return ssl.create_default_context()
    return httpx.create_ssl_context(trust_env=False)
