"""HTTP requests of the tests. httpx by itself loads the CA certificates for each of them, which takes 20 ms."""

from __future__ import annotations

import functools
import ssl

import httpx

TRUST_NO_CA = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = functools.partial(httpx.get, verify=TRUST_NO_CA)
head = functools.partial(httpx.head, verify=TRUST_NO_CA)
post = functools.partial(httpx.post, verify=TRUST_NO_CA)
stream = functools.partial(httpx.stream, verify=TRUST_NO_CA)
Client = functools.partial(httpx.Client, verify=TRUST_NO_CA)
