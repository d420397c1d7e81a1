"""HTTP requests of the tests. httpx alone loads the certificate authorities for each of them, which takes 20 ms."""

from __future__ import annotations

import functools
import ssl

import httpx

TRUST_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = functools.partial(httpx.get, verify=TRUST_NOBODY)
head = functools.partial(httpx.head, verify=TRUST_NOBODY)
post = functools.partial(httpx.post, verify=TRUST_NOBODY)
stream = functools.partial(httpx.stream, verify=TRUST_NOBODY)
Client = functools.partial(httpx.Client, verify=TRUST_NOBODY)
