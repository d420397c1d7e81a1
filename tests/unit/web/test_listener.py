from __future__ import annotations

import socket

import pytest

from exporter.web.listener import listen, show_address


@pytest.mark.parametrize("address", [":0", "[::]:0", "0.0.0.0:0", "127.0.0.1:0", "localhost:0"])
def test_ipv4_clients_reach(address: str) -> None:
    with listen(address) as sock, socket.create_connection(("127.0.0.1", sock.getsockname()[1])):
        pass


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
@pytest.mark.parametrize("address", [":0", "[::]:0", "[::1]:0", "::1:0"])
def test_ipv6_clients_reach(address: str) -> None:
    with listen(address) as sock, socket.create_connection(("::1", sock.getsockname()[1])):
        pass


@pytest.mark.parametrize(
    ("address", "shown"),
    [(":0", ":{}"), ("[::]:0", ":{}"), ("0.0.0.0:0", ":{}"), ("127.0.0.1:0", "127.0.0.1:{}"), ("[::1]:0", "[::1]:{}")],
)
def test_an_address_is_shown_as_in_a_url(address: str, shown: str) -> None:
    with listen(address) as sock:
        assert show_address(sock) == shown.format(sock.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost", "has no port; write one such as :10170"),
        ("127.0.0.1:", "has no port"),
        (":http", "has no port"),
        (":-1", "has no port"),
        (":²", "has no port"),
        (":99999", "the port must be 0 to 65535"),
        ("a..b:0", '"a..b" is not a host name or an IP address'),
        (f"{'a' * 64}.example:0", "is not a host name or an IP address"),
    ],
)
def test_what_is_no_address(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listen(address)


def test_a_host_that_is_not_known() -> None:
    with pytest.raises(OSError, match=r"not known|failure|resolution"):
        listen("foo.invalid:0")
