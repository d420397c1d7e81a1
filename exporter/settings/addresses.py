"""Parses listen addresses in Go's syntax: `:10170`, `127.0.0.1:10170`, `[::1]:10170`, `localhost:10170`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """`host`: empty for all addresses, IPv4 and IPv6. `port`: 0 for any free port."""

    host: str
    port: int


def parse(text: str) -> Address:
    """Parses an address. Raises ValueError with a hint."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()):
        raise ValueError(f'"{text}" has no port; write one such as :10170 or 127.0.0.1:10170')
    if int(port) > MAX_PORT:
        raise ValueError(f'"{text}" has a port above {MAX_PORT}; write one such as :10170')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise ValueError(f'"{text}" has no IPv6 address in its brackets; write one such as [::1]:10170')
    elif ":" in host:
        raise ValueError(f'"{text}" has an IPv6 address without brackets; write one such as [::1]:10170')
    elif any(not character.isprintable() or character in " /@[]" for character in host):
        raise ValueError(f'"{text}" has no valid host; write host:port, without a scheme or path')
    return Address("" if host == "::" else host, int(port))


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
