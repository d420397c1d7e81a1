"""`python -m exporter.health [OPTIONS] [PATH or URL]`: health check for containers; exits with 0 while the daemon
responds.

A separate program because it runs every few seconds: it imports only the standard library, and the reader of the
configuration file if there is one."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

TIMEOUT = 4.0  # s; HEALTHCHECK gives 5
PATH = "/-/healthy"
DEFAULT_ADDRESS = ":10170"
PREFIX = "TOGETHER_EXPORTER_"
FILE, ADDRESS, ROUTE_PREFIX = "config.file", "web.listen-address", "web.route-prefix"  # options of the daemon
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - how "everywhere" is reached
ALIVE = {200, 401, 429}  # the daemon is running if it requires a password or limits requests
DAEMON_COMMAND = Path("/proc/1/cmdline")  # in a container, the daemon is process 1


def main() -> NoReturn:
    """Requests a path from the daemon. Its address and TLS settings come from the options given here, otherwise from
    those of process 1 if it is the daemon, then the environment, the configuration file and the default."""
    own, targets = read_arguments(sys.argv[1:])
    target = targets[0] if targets else PATH
    options = {**read_arguments(_daemon_arguments())[0], **own}
    sys.exit(problem_here(target, options) if target.startswith("/") else problem(target))


def problem_here(path: str, options: dict[str, str]) -> str | None:
    """Returns why no daemon on this machine is healthy, or None. `options`: of the daemon, by name without dashes."""
    settings = _Settings(options)
    address = _first(settings.value(ADDRESS) or DEFAULT_ADDRESS)
    prefix = str(settings.value(ROUTE_PREFIX) or "").strip("/")
    host, _, port = address.rpartition(":")
    where = f"{LOOPBACK.get(host, host)}:{port}{f'/{prefix}' if prefix else ''}{path}"
    plain = problem(f"http://{where}")
    return plain and (problem(f"https://{where}") and plain)


def read_arguments(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Returns the options with the daemon's address, the first of several, and the remaining arguments."""
    options_by_name: dict[str, str] = {}
    others = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if name in {FILE, ADDRESS, ROUTE_PREFIX}:
            options_by_name.setdefault(name, value if equals else next(words, ""))
        elif not word.startswith("-"):
            others.append(word)
    return options_by_name, others


def _daemon_arguments() -> list[str]:
    try:
        words = DAEMON_COMMAND.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
    ours = (index for index, word in enumerate(words) if Path(word).name == "together-exporter")
    return words[next(ours, len(words)) :]


class _Settings:
    """The daemon's settings, in its order of precedence."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options

    def value(self, option: str) -> Any:
        return next((value for value in self._places(option) if value), None)

    def _places(self, option: str) -> Iterator[Any]:
        section, _, name = option.replace("-", "_").partition(".")
        yield self._options.get(option)
        yield os.environ.get(f"{PREFIX}{section}__{name}".upper(), "").strip()
        if option != FILE and (file := self.value(FILE)):
            from exporter.settings import file as config_file  # noqa: PLC0415 - only where there is a file
            from exporter.settings.problems import ConfigError  # noqa: PLC0415 - as above

            try:
                web = config_file.read(file).values.get(section)
            except ConfigError as error:
                sys.exit(str(error))
            yield web.get(name) if isinstance(web, dict) else None


def _first(addresses: Any) -> str:
    """Returns the first element of a list, or of a JSON list in a variable."""
    if isinstance(addresses, str):
        try:
            addresses = json.loads(addresses)
        except ValueError:  # `[::1]:10170` is no JSON
            return str(addresses)
    return str(addresses[0]) if isinstance(addresses, list) and addresses else str(addresses)


def problem(url: str) -> str | None:
    """Returns why the daemon at this URL is not healthy, or None. Certificates are not verified, because no secret is
    sent."""
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
    """A server that ends the TLS handshake without an alert requires a client certificate, which a health check does
    not have."""
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
