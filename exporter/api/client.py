"""HTTP client of one project: bearer key, deadline, the official SDK's retries, size limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx
import stamina
import structlog
from stamina.instrumentation import set_on_retry_hooks

from exporter import __version__
from exporter.api.body import read_body
from exporter.api.errors import (
    ApiError,
    Forbidden,
    InvalidResponse,
    NotFound,
    PaymentRequired,
    PollTimeout,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
)
from exporter.api.rate_limit import RateLimit, Request

MAX_ATTEMPTS = 3  # the SDK's two retries
FIRST_BACKOFF, MAX_BACKOFF = 1.0, 10.0  # s; doubled in between, less up to a quarter of jitter
MIN_ATTEMPT = 0.05  # s; a retry with less time left is not sent
MAX_CONNECTIONS = 256  # per project; hanging requests must not block others
MAX_IDLE_CONNECTIONS = 8  # idle
MAX_BODY = 64 * 2**20  # bytes, inflated; 10,000 deployments with 5 replicas are half of it
RETRYABLE = frozenset({408, 409})  # and all 5xx; a 429 with Retry-After
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NO_ANSWER = "error"  # the `code` of a request without a response
MAX_REQUEST_ID = 100  # characters
REQUEST_IDS = ("x-request-id", "x-together-request-id", "cf-ray")  # headers for support requests

STATUS_ERRORS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    402: PaymentRequired,
    403: Forbidden,
    404: NotFound,
    410: NotFound,
    429: RateLimited,
}

# Exceptions of httpx; subclasses are translated like the closest class in this table.
HTTPX_ERRORS: dict[type[Exception], type[ApiError]] = {
    httpx.TimeoutException: PollTimeout,
    httpx.NetworkError: Unreachable,
    httpx.ProtocolError: Unreachable,
    httpx.ProxyError: Unreachable,
    httpx.UnsupportedProtocol: Unreachable,
    httpx.InvalidURL: Unreachable,
    httpx.DecodingError: InvalidResponse,
    httpx.TooManyRedirects: InvalidResponse,
}

set_on_retry_hooks(())  # stamina's defaults log each retry with its arguments and register metrics
Answer = TypeVar("Answer")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a project is polled. `timeout`: seconds for a request with its retries and its body.

    `key`: called before each request; raises Unauthorized without a key. `tls`: None if nothing is encrypted.
    `interval`: seconds between two polls of what is polled most often."""

    project: str
    base_url: str
    key: Callable[[], Awaitable[str]]
    timeout: float
    proxy: str | None = None
    tls: ssl.SSLContext | None = None
    interval: float = float("inf")


class Client:
    """Raises only ApiError; cancellation is not caught."""

    def __init__(self, endpoint: Endpoint, limit: RateLimit, count: Callable[[str], object]) -> None:
        """`count`: called with the status code of each finished request, or NO_ANSWER.

        Raises ValueError if httpx cannot use the endpoint or the environment's proxies and certificates."""
        self._endpoint = endpoint
        self._count = count
        self._limit = limit
        self._log = log.bind(project=endpoint.project)
        try:
            self._http = httpx.AsyncClient(
                base_url=endpoint.base_url.rstrip("/") + "/",
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    "User-Agent": f"together-exporter/{__version__}",
                },
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # cookies are never stored
                timeout=None,  # noqa: S113 - httpx's is per read; the deadline below is over everything
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
                follow_redirects=False,  # the key goes to no other host
                event_hooks={"response": [_forget_location]},
                trust_env=False,  # the settings provide proxies and CAs, with better error messages
                proxy=_proxy(endpoint),
                verify=endpoint.tls or False,
            )
        except (httpx.InvalidURL, ImportError, OSError) as error:  # invalid URL, unknown proxy scheme
            raise ValueError(str(error)) from None

    async def fetch(
        self, request: Request, interval: float, read: Callable[[bytes, float], Awaitable[Answer]]
    ) -> Answer:
        """Returns the result of `read`, called with the decompressed body and the deadline in monotonic seconds.

        `interval`: seconds between two polls.

        The deadline starts after the wait for the rate limit."""
        await self._limit.turn(request, self._endpoint.timeout)
        deadline = time.monotonic() + self._endpoint.timeout
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                return await read(await self._with_retries(request, interval, deadline), deadline)
        except TimeoutError:
            raise PollTimeout(f"no complete response within {self._endpoint.timeout:g}s") from None

    async def close(self) -> None:
        await self._http.aclose()

    async def _with_retries(self, request: Request, interval: float, deadline: float) -> bytes:
        backoffs = _backoffs()
        failed: ApiError | None = None

        def wait(error: Exception) -> bool | float:
            """Returns seconds until the next attempt; False if there is none, or not enough time."""
            nonlocal failed
            if not isinstance(error, ApiError) or not error.retryable:
                return False
            failed = error
            delay = error.retry_after or next(backoffs)
            return delay if time.monotonic() + delay < deadline else False

        async for attempt in stamina.retry_context(on=wait, attempts=MAX_ATTEMPTS, timeout=None):
            with attempt:
                if failed is not None:
                    await self._turn_of_retry(request, failed, deadline)
                return await self._once(request, interval)
        raise AssertionError("stamina ends with a result or an error")

    async def _turn_of_retry(self, request: Request, failed: ApiError, deadline: float) -> None:
        """Waits for the rate limit. Raises the error of the previous attempt if that takes too long."""
        try:
            async with asyncio.timeout(deadline - time.monotonic() - MIN_ATTEMPT):
                await self._limit.turn(request)
        except TimeoutError:
            failed.retryable = False
            raise failed from None

    async def _once(self, request: Request, interval: float) -> bytes:
        headers = {"Authorization": f"Bearer {await self._endpoint.key()}"}
        code, began, request_id = NO_ANSWER, time.monotonic(), None
        stream = self._http.stream("GET", request.path, params=dict(request.query), headers=headers)
        try:
            async with _translated(), stream as response:
                code, request_id = str(response.status_code), _request_id(response)
                if response.is_success:
                    return await read_body(response, max_bytes=MAX_BODY)
                error = _status_error(response)
                self._limit.note(request, error, min(interval, self._endpoint.interval))
                raise error
        except ApiError as error:
            error.request_id = request_id
            raise
        finally:
            self._count(code)
            took = f"{time.monotonic() - began:.3f}s"
            details = {} if request_id is None else {"request_id": request_id}
            self._log.debug("api request", path=request.path, status=code, took=took, **details)


async def _forget_location(response: httpx.Response) -> None:
    """httpx builds the request of a redirect even if it is not followed, and fails on some addresses."""
    if "location" in response.headers:
        del response.headers["location"]


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Translates httpx's exceptions. Their messages contain hosts and errno, never headers."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        ours = next(HTTPX_ERRORS[kind] for kind in type(error).__mro__ if kind in HTTPX_ERRORS)
        detail = _cause(error) or f"{type(error).__name__}: {error}"
        raise ours(detail, retryable=ours is Unreachable) from None


def _cause(error: BaseException | None) -> str | None:
    """Returns the message of the operating system or of OpenSSL, with a hint on certificates; None for other errors."""
    message = None
    while error is not None:
        if isinstance(error, BaseExceptionGroup):  # one exception for each address of the host
            error = error.exceptions[0]
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = "set ca_file or SSL_CERT_FILE to the CA certificate"
            return f"certificate verification failed: {error.verify_message}; {hint}"
        if isinstance(error, ssl.SSLError) and error.reason:
            message = f"TLS failed: {error.reason.lower().replace('_', ' ')} (does the server expect http://?)"
        elif isinstance(error, OSError) and error.strerror:
            message = error.strerror
        error = error.__cause__ or error.__context__
    return message


def _status_error(response: httpx.Response) -> ApiError:
    """Returns the error of an unsuccessful status. The body is ignored because it may contain anything."""
    status = response.status_code
    if status in REDIRECTS:
        return InvalidResponse(f"HTTP {status}: redirects are not followed; check base_url")
    retry_after = _retry_after(response.headers)
    should_retry = response.headers.get("x-should-retry", "").lower()
    retryable = status in RETRYABLE or status >= 500 or (status == 429 and retry_after is not None)  # noqa: PLR2004
    retryable = should_retry == "true" or (should_retry != "false" and retryable)
    kind = STATUS_ERRORS.get(status, ServerError)
    reason = f"HTTP {status} {_phrase(status)}".strip()  # the server's own phrase may be anything
    return kind(reason, retryable=retryable, retry_after=retry_after)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _request_id(response: httpx.Response) -> str | None:
    found = (response.headers[name] for name in REQUEST_IDS if name in response.headers)
    return next((id_[:MAX_REQUEST_ID] for id_ in found), None)


def _retry_after(headers: httpx.Headers) -> float | None:
    """Returns the seconds of `retry-after-ms` or `Retry-After` (a number or a date); None if absent or invalid."""
    with contextlib.suppress(ValueError):
        return _positive(float(headers.get("retry-after-ms", "")) / 1000)
    text = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return _positive(float(text))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        parsed = parsedate_to_datetime(text)
        parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return _positive((parsed - datetime.now(UTC)).total_seconds())
    return None


def _positive(seconds: float) -> float | None:
    return seconds if 0 < seconds < float("inf") else None


def _backoffs() -> Iterator[float]:
    """Yields seconds before each retry, as in the SDK. Unlimited, because stamina asks after the last attempt too."""
    for retry in itertools.count():
        step = min(FIRST_BACKOFF * 2**retry, MAX_BACKOFF)
        yield step * (1 - random.random() / 4)  # noqa: S311 - jitter, not a secret


def _proxy(endpoint: Endpoint) -> httpx.Proxy | None:
    if endpoint.proxy is None:
        return None
    encrypted = endpoint.proxy.lower().startswith("https:")
    return httpx.Proxy(endpoint.proxy, ssl_context=endpoint.tls if encrypted else None)
