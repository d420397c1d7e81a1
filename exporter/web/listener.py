"""Listening sockets, and their addresses."""

from __future__ import annotations

import socket

BACKLOG = 2048  # connections the kernel holds until they are accepted
MAX_PORT = 0xFFFF


def listen(address: str) -> socket.socket:
    """Creates a listening socket for `host:port`; without a host, or with `[::]`, on all IPv4 and IPv6 addresses.

    Raises OSError, and ValueError for an invalid address."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdecimal()):
        raise ValueError(f'"{address}" has no port; write one such as :10170 or 127.0.0.1:10170')
    if int(port) > MAX_PORT:
        raise ValueError(f'"{address}": the port must be 0 to {MAX_PORT}')
    if host in {"", "::"} and socket.has_dualstack_ipv6():
        return socket.create_server(("", int(port)), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)
    except ValueError:  # includes UnicodeError: an empty or overlong label
        raise ValueError(f'"{address}": "{host}" is not a host name or an IP address') from None
    return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)


def show_address(sock: socket.socket) -> str:
    """host:port as in a URL; without the host if it is the wildcard address."""
    host, port = sock.getsockname()[:2]
    if host in {"::", "0.0.0.0"}:  # noqa: S104 - compared, not bound
        return f":{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
