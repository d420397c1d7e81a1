"""Access control: basic auth with bcrypt, rate limit, response headers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import bcrypt
import structlog
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.assets import CONTENT_SECURITY_POLICY
from exporter.web.refusals import Refusals

MAX_PASSWORD = 72  # bytes; bcrypt ignores the rest
MAX_REMEMBERED = 100  # correct passwords; bcrypt takes 50 ms and more
MAX_CHECKS_PER_CLIENT = 2  # pending checks per address, so that guessing does not lock out other clients
MAX_CHECKS = 128  # pending checks in total; 8 s at the usual cost, below the scrape timeout
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Replaced when its files change. `users`: bcrypt hashes by name; empty disables authentication.

    `allowed_sans`: of client certificates; empty accepts all verified ones. `rate`: (seconds per request, burst)."""

    tls: ssl.SSLContext | None = None
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: tuple[float, int] | None = None


class TooBusy(Exception):
    """Too many pending password checks."""


@dataclass(frozen=True, slots=True)
class Check:
    """A pending password check."""

    network: str
    result: asyncio.Task[bool]


def matches(password: bytes, hash_: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:MAX_PASSWORD], hash_)
    except ValueError:
        return False


class Passwords:
    """Checks passwords one at a time outside the event loop; caches keyed digests of correct passwords."""

    def __init__(self, matches: Callable[[bytes, bytes], bool] = matches) -> None:
        self._matches = matches
        self._salt = secrets.token_bytes(32)
        self._correct: OrderedDict[bytes, None] = OrderedDict()
        self._checks: dict[bytes, Check] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self._turn = asyncio.Lock()  # work queued in the executor would delay the exit

    async def are_correct(self, users: Mapping[str, bytes], user: str, password: bytes, client: str) -> bool:
        """`client`: its address. Raises TooBusy."""
        hash_ = users.get(user) or next(iter(users.values()))  # constant time for unknown users
        digest = self._digest(user, password, hash_)
        if user in users and digest in self._correct:  # keyed digest: timing reveals nothing
            return True
        check = self._checks.get(digest)  # concurrent requests share one check
        if check is None:
            check = self._checks[digest] = self._start_check(network(client), password, hash_)
            check.result.add_done_callback(lambda _: self._checks.pop(digest))
        if await asyncio.shield(check.result) and user in users:
            self._remember(digest)
            return True
        return False

    def _start_check(self, network: str, password: bytes, hash_: bytes) -> Check:
        of_network = sum(check.network == network for check in self._checks.values())
        if of_network >= MAX_CHECKS_PER_CLIENT or len(self._checks) >= MAX_CHECKS:
            raise TooBusy
        return Check(network, asyncio.create_task(self._check(password, hash_)))

    async def _check(self, password: bytes, hash_: bytes) -> bool:
        async with self._turn:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._matches, password, hash_)

    def _digest(self, user: str, password: bytes, hash_: bytes) -> bytes:
        parts = (user.encode(), password, hash_)
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._salt, message, hashlib.sha256)

    def _remember(self, digest: bytes) -> None:
        self._correct[digest] = None
        while len(self._correct) > MAX_REMEMBERED:
            self._correct.popitem(last=False)


def network(client: str) -> str:
    """The address, or the /64 prefix of an IPv6 address, which its owner cannot choose freely."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or address.packed[:8].hex())


class AccessMiddleware:
    """Applies rate limit, authentication and response headers to the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        access: Callable[[], Access],
        refusals: Refusals,
        is_ready: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`is_ready`: False for a path that answers 503 also without a password, for health checks, which have none."""
        self._app = app
        self._is_ready = is_ready
        self._access = access
        self._refusals = refusals
        self._passwords = Passwords()
        self._bucket = Bucket()
        self._log = structlog.get_logger().bind()  # bound once: the lookup costs more than the log line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = self._access()
        headers = _raw_headers(tuple(access.headers.items()))
        began, client = time.monotonic(), _client(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                names = {name.lower() for name, _ in own}
                own += [header for header in headers if header[0] not in names]
                took, method, path = round(time.monotonic() - began, 3), scope["method"], scope["path"]
                self._log.debug("request", method=method, path=path, client=client, status=message["status"], took=took)
            await send(message)

        refusal = await self._refusal(access, scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    async def _refusal(self, access: Access, scope: Scope) -> Response | None:
        client = _client(scope)
        if access.rate is not None and not self._bucket.take(*access.rate):
            self._refusals.count("rate_limit", client)
            return PlainTextResponse("Too many requests.\n", status_code=429)
        if not access.users:
            return None
        presented = credentials(Headers(scope=scope).get("authorization", ""))
        try:
            if presented and await self._passwords.are_correct(access.users, *presented, client):
                return None
        except TooBusy:
            return PlainTextResponse("Too many sign-ins at once.\n", 503, {"Retry-After": "5"})
        if not presented and not self._is_ready(scope["path"]):
            return PlainTextResponse("Not ready.\n", status_code=503)
        self._refusals.count("unauthorized", client)
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": 'Basic realm="together-exporter"'})


class Bucket:
    """A token bucket over all requests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens = float("inf")
        self._at = clock()

    def take(self, interval: float, burst: int) -> bool:
        """Whether another request is within one per `interval` seconds with bursts of `burst`."""
        now = self._clock()
        self._tokens = min(float(burst), self._tokens + (now - self._at) / interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@lru_cache(maxsize=2)
def _raw_headers(configured: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers of every response, in ASGI form."""
    headers = {name.lower(): value for name, value in (*SECURITY_HEADERS.items(), *configured)}
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("?",))[0])


def credentials(header: str) -> tuple[str, bytes] | None:
    """(user, password) of an Authorization header; None if absent or malformed."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return user.decode(), password
    except (binascii.Error, ValueError):
        return None
