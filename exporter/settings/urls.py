"""Validates URLs: rejects those that the HTTP client, its IDNA library or the resolver would reject later."""

from __future__ import annotations

import re

import httpx

MAX_PORT = 65535
EXAMPLE = "https://api.together.ai/v1"


def checked(text: str, schemes: tuple[str, ...], example: str = EXAMPLE) -> httpx.URL:
    """Raises ValueError with the reason and a hint. The message never contains the URL, which may contain a
    password."""
    hint = f"write one such as {example}"
    if "://" not in text:
        raise ValueError(f"is not a URL; {hint}")
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii")  # decodes `url.host` too, which can fail on its own
        httpx.Request("GET", url)  # makes the Host header
        host.encode("idna")  # as getaddrinfo does: empty labels and ones above 63 characters
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"is not a valid URL ({_reason(error)}); {hint}") from None
    if url.scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}; {hint}")
    if not host or "%" in host or " " in host or "\\" in host:
        raise ValueError(f"has no valid host name; {hint}")
    if url.port is not None and not 0 < url.port <= MAX_PORT:
        raise ValueError(f"has a port that is not between 1 and {MAX_PORT}; {hint}")
    return url


def _reason(error: Exception) -> str:
    """Returns httpx's reason without the quoted text."""
    return "invalid host name" if isinstance(error, UnicodeError) else re.split("[:,]", str(error))[0].lower()


def base_url(text: str) -> str:
    """Returns the API's URL with `/v1` and without a trailing slash. Raises ValueError."""
    text = text.strip()
    url = checked(text, ("http", "https"))
    if url.userinfo:
        raise ValueError("must not contain a user name or password; remove it")
    if url.query or "?" in text:
        raise ValueError('must not have a query; remove "?" and everything after it')
    if url.fragment or "#" in text:
        raise ValueError('must not have a fragment; remove "#" and everything after it')
    path = text.rstrip("/")
    return path if path.endswith("/v1") else f"{path}/v1"
