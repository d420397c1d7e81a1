"""Selects the proxy of a URL from the variables that curl, Go and Together's SDK read."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

import httpx
from pydantic import SecretStr

from exporter.settings.urls import checked

SCHEMES = ("http", "https")
EXAMPLE = "http://proxy.example:3128"
DEFAULT_PORTS = {"http": 80, "https": 443}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxyRefused(Exception):
    """`variable`: the variable to correct. The message gives the reason and a hint, never the value."""

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(message)
        self.variable = variable


def proxy_for(url: str, environ: Mapping[str, str]) -> SecretStr | None:
    """Returns the proxy's URL, which may contain a password, or None for a direct connection. Raises ProxyRefused."""
    target = httpx.URL(url)
    port = target.port or DEFAULT_PORTS[target.scheme]
    if _is_local(target.host) or _is_exempt(target.host, port, environ):
        return None
    for variable in _variables(target.scheme):
        if text := environ.get(variable, "").strip():
            return SecretStr(_checked(variable, text))
    return None


def _variables(scheme: str) -> Iterator[str]:
    for name in (f"{scheme}_proxy", "all_proxy"):
        yield from (name, name.upper())


def _checked(variable: str, text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    if url.lower().startswith("socks"):
        hint = f"write an HTTP proxy such as {EXAMPLE}, or exempt the API's host with NO_PROXY"
        raise ProxyRefused(variable, f"SOCKS proxies are not supported; {hint}")
    try:
        checked(url, SCHEMES, EXAMPLE)
    except ValueError as error:
        raise ProxyRefused(variable, str(error)) from None
    return url


def _is_local(host: str) -> bool:
    """Returns whether the host is this machine, which no proxy can reach."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Applies NO_PROXY as Go does: domains with their subdomains, addresses and networks, each with or without a
    port."""
    text = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(entry.lower(), host.lower().rstrip("."), port) for entry in re.split(r"[,\s]+", text) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split_port(entry.rpartition("://")[2])
    if wanted_port not in {"", str(port)}:
        return False
    address, network = _address(host), _network(name)
    if address is not None or network is not None:
        return address is not None and network is not None and address in network
    name = name.removeprefix("*").rstrip(".")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, str]:
    """Returns host and port. An IPv6 address with a port needs brackets."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        return (f"{host}{port}", "") if port.startswith("/") else (host, port.removeprefix(":"))
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
