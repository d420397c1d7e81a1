"""A URL that is accepted can be requested: no library in between refuses it later."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.settings.urls import base_url
from tests import fetch
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://h", "https://h/v1"),
        ("https://h/v1/", "https://h/v1"),
        (" http://h:1/v1\n", "http://h:1/v1"),
        ("http://h/proxy/together", "http://h/proxy/together/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("http://a_b.example", "http://a_b.example/v1"),
        ("https://bücher.example/", "https://bücher.example/v1"),
    ],
)
def test_a_base_url_is_stripped_and_gets_its_version(text: str, url: str) -> None:
    assert base_url(text) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("api.together.ai", "is not a URL; write one such as https://api.together.ai/v1"),
        ("", "is not a URL"),
        ("ftp://h", "must begin with http:// or https://"),
        ("https://é..x/v1", "is not a valid URL"),
        ("https://a..b/v1", "invalid host name"),
        ("https://.h/", "invalid host name"),
        (f"https://{'a' * 64}.x", "invalid host name"),
        ("https://xn--/v1", "invalid host name"),
        ("https://xn--a/v1", "invalid host name"),
        ("https://\N{FULLWIDTH LATIN SMALL LETTER E}/", "is not a valid URL"),
        ("https://\N{GRINNING FACE}/", "is not a valid URL"),
        ("https://\N{ZERO WIDTH SPACE}/", "is not a valid URL"),
        ("https://\ud800/", "is not a valid URL"),
        ("https://h/\ud800", "is not a valid URL"),
        ("https://999.1.1.1/", "invalid ipv4 address"),
        ("https://[::1/", "is not a valid URL"),
        ("https://[::g]/", "is not a valid URL"),
        ("https://h:99999/", "has a port that is not between 1 and 65535"),
        ("https://h:0/", "has a port that is not between 1 and 65535"),
        ("https://h:x/", "invalid port"),
        ("https:///v1", "has no valid host name"),
        ("https://a b/", "has no valid host name"),
        ("https://h\n.x/v1", "invalid non-printable ascii character"),
        (f"https://h/{'x' * 70_000}", "url too long"),
        ("https://user:secret@h/v1", "must not contain a user name or password"),
        ("https://h/v1?key=secret", 'must not have a query; remove "?" and everything after it'),
        ("https://h/v1?", "must not have a query"),
        ("https://h/v1#x", 'must not have a fragment; remove "#" and everything after it'),
    ],
)
def test_what_cannot_be_requested_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        base_url(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


PARTS = [*":/@[]?#.%\\ éß-_a1*\0", "http", "https", "://", "//", "..", "xn--", "::1", "255.1.1.1", ":80", "x" * 64]
PARTS += ["\u3002", "\u200d", "\ud800"]
LIKE_URLS = st.lists(st.sampled_from(PARTS)).map(lambda parts: "https://" + "".join(parts))


@settings(max_examples=examples(1000), deadline=None, database=None)
@given(st.one_of(st.text(), LIKE_URLS))
def test_every_accepted_url_can_be_requested(text: str) -> None:
    try:
        url = base_url(text)
    except ValueError:
        return
    with fetch.Client(base_url=f"{url}/", trust_env=False) as client:
        request = client.build_request("GET", "deployments/a%2Fb", params={"model": "x"})
    assert request.url.path.endswith("/v1/deployments/a/b")
    assert request.url.raw_host.decode().encode("idna")
    assert not request.url.userinfo
