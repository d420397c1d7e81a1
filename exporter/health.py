"""`python -m exporter.health [PATH or URL]`: 0 while the daemon answers there; for containers' health checks.

It is a program of its own because it is started every few seconds: the standard library alone, no configuration read.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from typing import NoReturn
from urllib.parse import urlsplit

TIMEOUT = 4.0  # s; HEALTHCHECK gives 5
PATH = "/-/healthy"
DEFAULT_ADDRESS = ":10170"
ADDRESS_VARIABLE = "TOGETHER_EXPORTER_WEB__LISTEN_ADDRESS"
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - how "everywhere" is reached
ALIVE = {200, 401, 429}  # who asks for a password, or says that there were too many requests, is there


def main() -> NoReturn:
    """A path is asked for where the environment, or else the default, lets the daemon listen, with TLS or without."""
    asked = sys.argv[1] if len(sys.argv) > 1 else PATH
    sys.exit(problem_here(asked) if asked.startswith("/") else problem(asked))


def problem_here(path: str) -> str | None:
    """Why no daemon is well on this machine, or None."""
    host, _, port = (os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS).rpartition(":")
    where = f"{LOOPBACK.get(host, host)}:{port}{path}"
    plain = problem(f"http://{where}")
    return plain and (problem(f"https://{where}") and plain)


def problem(url: str) -> str | None:
    """Why the daemon is not well at this URL, or None. A certificate is not verified: nothing is read or told."""
    scheme, where, path, *_ = urlsplit(url)
    connection = _secure(where) if scheme == "https" else http.client.HTTPConnection(where, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (http.client.HTTPException, OSError) as error:
        return None if scheme == "https" and _turns_away(error) else f"{url}: {error!r}"
    finally:
        connection.close()
    return None if status in ALIVE else f"{url}: answers {status}"


def _turns_away(error: Exception) -> bool:
    """A server that ends TLS without a word asks for the client's certificate, which a health check has none of."""
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    return (
        isinstance(error, http.client.RemoteDisconnected)
        or "ALERT" in reason
        or reason == "UNEXPECTED_EOF_WHILE_READING"
    )


def _secure(where: str) -> http.client.HTTPConnection:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(where, timeout=TIMEOUT, context=context)


if __name__ == "__main__":
    main()
