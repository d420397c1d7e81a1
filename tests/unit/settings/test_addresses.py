from __future__ import annotations

import pytest

from exporter.settings.addresses import Address, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10170", Address("", 10170)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),  # noqa: S104 - compared, not bound
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:1", Address("::1", 1)),
        ("[::]:1", Address("", 1)),
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        (" :1\n", Address("", 1)),
    ],
)
def test_an_address_has_host_and_port(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "has no port; write one such as :10170"),
        ("10170", "has no port"),
        (":", "has no port"),
        (":http", "has no port"),
        (":-1", "has no port"),
        (":\N{SUPERSCRIPT TWO}", "has no port"),
        (":99999", "has a port above 65535"),
        ("::1:10170", "has an IPv6 address without brackets"),
        ("[::1", "has an IPv6 address without brackets"),
        ("[x]:1", "has no IPv6 address in its brackets"),
        ("[]:1", "has no IPv6 address in its brackets"),
        ("http://h:1", "has an IPv6 address without brackets"),
        ("h/x:1", "has no valid host; write host:port, without a scheme or path"),
        ("a b:1", "has no valid host"),
    ],
)
def test_what_is_no_address_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert reason in str(caught.value)
