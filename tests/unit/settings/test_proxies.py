"""Which proxy a URL goes through, by the variables as they are set in the field."""

from __future__ import annotations

import pytest

from exporter.settings.proxies import ProxyRefused, proxy_for

PROXY = {"HTTPS_PROXY": "http://proxy:3128", "HTTP_PROXY": "http://plain:3128"}


def used(url: str, **environ: str) -> str | None:
    proxy = proxy_for(url, environ)
    return proxy.get_secret_value() if proxy else None


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://h/v1", {}, None),
        ("https://h/v1", PROXY, "http://proxy:3128"),
        ("http://h/v1", PROXY, "http://plain:3128"),
        ("https://h/v1", {"https_proxy": "http://lower:1", **PROXY}, "http://lower:1"),
        ("https://h/v1", {"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ("https://h/v1", {"ALL_PROXY": "http://all:1", **PROXY}, "http://proxy:3128"),
        ("https://h/v1", {"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ("https://h/v1", {"HTTPS_PROXY": " http://proxy:3128\r\n"}, "http://proxy:3128"),
        ("https://h/v1", {"HTTPS_PROXY": "https://user:pw@proxy:3128"}, "https://user:pw@proxy:3128"),
        ("https://h/v1", {"HTTPS_PROXY": ""}, None),
        ("https://h/v1", {"HTTPS_PROXY": "", "ALL_PROXY": "http://all:1"}, "http://all:1"),
        ("http://localhost:1/v1", PROXY, None),
        ("http://127.0.0.1:1/v1", PROXY, None),
        ("http://127.9.9.9:1/v1", PROXY, None),
        ("http://[::1]:1/v1", PROXY, None),
        ("http://127.example.com/v1", PROXY, "http://plain:3128"),
        ("http://localhost.example.com/v1", PROXY, "http://plain:3128"),
        ("http://h/v1", {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "socks5://s:1"}, "http://p:1"),
    ],
)
def test_the_proxy_of_a_url(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert used(url, **environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "exempt"),
    [
        ("10.0.0.0/8,fd00::/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8,fd00::/8", "https://[fd00::7]/v1", True),
        ("10.0.0.0/8,fd00::/8", "https://11.1.2.3/v1", False),
        ("10.0.0.0/8,fd00::/8", "https://h/v1", False),
        ("::1/128", "https://h/v1", False),
        ("[fd00::1]", "https://[fd00::1]/v1", True),
        ("[fd00::1]:443", "https://[fd00::1]/v1", True),
        ("[fd00::1]:444", "https://[fd00::1]/v1", False),
        ("[fd00::]/8", "https://[fd00::1]/v1", True),
        ("fd00::1", "https://[fd00:0::1]/v1", True),
        ("10.1.2.3/8", "https://10.9.9.9/v1", True),
        ("192.168.0.1:8443", "https://192.168.0.1:8443/v1", True),
        ("*", "https://h/v1", True),
        ("a, *", "https://h/v1", True),
        ("example.com", "https://example.com/v1", True),
        ("example.com", "https://api.example.com/v1", True),
        ("example.com", "https://notexample.com/v1", False),
        (".example.com", "https://api.example.com/v1", True),
        (".example.com", "https://example.com/v1", False),
        ("*.example.com", "https://api.example.com/v1", True),
        ("EXAMPLE.com", "https://Api.Example.COM/v1", True),
        ("example.com.", "https://example.com/v1", True),
        ("example.com:443", "https://example.com/v1", True),
        ("example.com:80", "https://example.com/v1", False),
        ("https://example.com", "https://example.com/v1", True),
        ("a b\tc", "https://c/v1", True),
        ("localhost,127.0.0.1,::1,.svc,.cluster.local,[::1],fe80::/10,[", "https://h/v1", False),
        (",, ,", "https://h/v1", False),
        ("10.0.0.0/99,1.2.3.4/x", "https://h/v1", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_exempts(name: str, no_proxy: str, url: str, exempt: bool) -> None:
    assert used(url, **PROXY, **{name: no_proxy}) == (None if exempt else "http://proxy:3128")


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("HTTPS_PROXY", "socks5://user:secret@proxy:1080", "SOCKS proxies are not supported; write an HTTP proxy"),
        ("ALL_PROXY", "socks5h://proxy:1080", "SOCKS proxies are not supported"),
        ("all_proxy", "SOCKS4://proxy", "SOCKS proxies are not supported"),
        ("https_proxy", "http://proxy:99999", "has a port that is not between 1 and 65535"),
        ("HTTPS_PROXY", "http://proxy:secret", "invalid port"),
        ("HTTPS_PROXY", "proxy:x", "invalid port"),
        ("HTTPS_PROXY", "ftp://proxy:1", "must begin with http:// or https://"),
        ("HTTPS_PROXY", "http://", "has no valid host name"),
        ("HTTPS_PROXY", "http://a..b:1", "invalid host name"),
        ("HTTPS_PROXY", "http://pro xy:1", "has no valid host name"),
        ("HTTPS_PROXY", "://", "must begin with http:// or https://"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_its_variable(variable: str, text: str, reason: str) -> None:
    with pytest.raises(ProxyRefused) as caught:
        used("https://h/v1", **{variable: text})
    assert (caught.value.variable, reason in str(caught.value)) == (variable, True), str(caught.value)
    assert "secret" not in str(caught.value)
