"""One project's door to the API: bearer key, one deadline a poll, retries as the official SDK's, bounded bodies."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import httpx
import stamina
from stamina.instrumentation import set_on_retry_hooks

from exporter import __version__
from exporter.api.body import BodyTooLarge, read_body
from exporter.api.errors import (
    ApiError,
    Forbidden,
    InvalidResponse,
    NotFound,
    PollTimeout,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
)
from exporter.api.listing import ListReader
from exporter.api.models import Queue, Reading, read_deployment, read_queue
from exporter.api.pace import Pace
from exporter.instrumentation import NO_ANSWER, Instrumentation
from exporter.slices import in_slices

ATTEMPTS = 3  # the SDK's two retries
FIRST_BACKOFF, MAX_BACKOFF = 1.0, 10.0  # s; doubled in between, less up to a quarter of jitter
MAX_CONCURRENCY = 8  # requests in flight; httpx's pool gets slower with more, not faster
MAX_BODY = 64 * 2**20  # bytes, inflated; 10,000 deployments with 5 replicas are half of it
RETRYABLE = frozenset({408, 409, 429})  # and every 5xx

STATUS_ERRORS: dict[int, type[ApiError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: RateLimited}

# Every exception of httpx that a request can end with; the nearest ancestor counts.
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

set_on_retry_hooks(())  # stamina's own log every retry with its arguments, and count in a registry of their own


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one project is polled. `timeout` is seconds over a whole poll, retries and body included;
    `key` is asked before each request and raises Unauthorized where there is none."""

    project: str
    base_url: str
    key: Callable[[], str]
    timeout: float
    max_requests_per_second: float


class Client:
    """Raises ApiError and nothing else; cancellation passes."""

    def __init__(self, endpoint: Endpoint, instrumentation: Instrumentation) -> None:
        self.project = endpoint.project
        self._endpoint = endpoint
        self._requests = instrumentation.api_requests
        self._dropped = instrumentation.series_dropped
        self._pace = Pace(endpoint.max_requests_per_second, _loop_time)
        self._list = ListReader()
        self._slots = asyncio.Semaphore(MAX_CONCURRENCY)
        url = urlsplit(endpoint.base_url)
        self._http = httpx.AsyncClient(
            base_url=endpoint.base_url.rstrip("/") + "/",
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"together-exporter/{__version__}",
            },
            timeout=None,  # noqa: S113 - httpx's is per read; the deadline below is over everything
            follow_redirects=False,  # the key goes to no other host
            trust_env=not _is_loopback(url.hostname or ""),  # proxies from the environment
            verify=_tls() if url.scheme == "https" else False,
        )

    async def deployment(self, name_or_id: str) -> Reading:
        """`GET /deployments/{id}`."""
        return read_deployment(await self._fetch(f"deployments/{quote(name_or_id, safe='')}"))

    async def deployments(self) -> tuple[Reading, ...]:
        """`GET /deployments`: every deployment that the key sees. Unchanged readings are the same objects."""
        return await in_slices(self._list.read(await self._fetch("deployments")))

    async def queue(self, model: str) -> Queue:
        """`GET /queue/metrics` of one model."""
        return read_queue(await self._fetch("queue/metrics", model=model))

    async def close(self) -> None:
        await self._http.aclose()

    async def _fetch(self, path: str, **query: str) -> bytes:
        """Waits for its turn before the deadline starts: only the API's time counts against it."""
        async with self._slots:
            await self._pace.turn()
            return await self._within_deadline(path, query)

    async def _within_deadline(self, path: str, query: dict[str, str]) -> bytes:
        deadline = _loop_time() + self._endpoint.timeout
        try:
            async with asyncio.timeout_at(deadline):
                return await self._with_retries(path, query, deadline)
        except TimeoutError:
            raise PollTimeout(f"no complete answer within {self._endpoint.timeout:g}s") from None

    async def _with_retries(self, path: str, query: dict[str, str], deadline: float) -> bytes:
        backoffs = _backoffs()

        def wait(error: Exception) -> bool | float:
            """Seconds until the next attempt; False where there is none, or no time for it."""
            if not isinstance(error, ApiError) or not error.retryable:
                return False
            delay = error.retry_after or next(backoffs)
            return delay if _loop_time() + delay < deadline else False

        async for attempt in stamina.retry_context(on=wait, attempts=ATTEMPTS, timeout=None):
            with attempt:
                if attempt.num > 1:
                    await self._pace.turn()
                return await self._once(path, query)
        raise AssertionError("stamina ends with a result or an error")

    async def _once(self, path: str, query: dict[str, str]) -> bytes:
        headers = {"Authorization": f"Bearer {self._endpoint.key()}"}
        code = NO_ANSWER
        try:
            async with _translated(), self._http.stream("GET", path, params=query, headers=headers) as response:
                code = str(response.status_code)
                if response.is_success:
                    return await self._body(response)
                raise self._refusal(response)
        finally:
            self._requests.labels(self._endpoint.project, code).inc()

    async def _body(self, response: httpx.Response) -> bytes:
        try:
            return await read_body(response, max_bytes=MAX_BODY)
        except BodyTooLarge:
            self._dropped.labels("body_size_limit").inc()
            raise

    def _refusal(self, response: httpx.Response) -> ApiError:
        error = _status_error(response)
        if error.retry_after is not None:
            self._pace.pause(error.retry_after, error)
        return error


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """httpx's exceptions become ours. Their texts name hosts and errno, never a header."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        ours = next(HTTPX_ERRORS[kind] for kind in type(error).__mro__ if kind in HTTPX_ERRORS)
        raise ours(f"{type(error).__name__}: {error}", retryable=ours is Unreachable) from None


def _status_error(response: httpx.Response) -> ApiError:
    """The error of a status that is no success; the body is not looked at, it may hold anything."""
    status = response.status_code
    if response.has_redirect_location:
        return InvalidResponse(f"HTTP {status}: redirects are not followed; is base_url right?")
    wish = response.headers.get("x-should-retry", "").lower()
    retryable = wish == "true" or (wish != "false" and (status in RETRYABLE or status >= 500))  # noqa: PLR2004
    kind = STATUS_ERRORS.get(status, ServerError)
    reason = f"HTTP {status} {response.reason_phrase}".strip()
    return kind(reason, retryable=retryable, retry_after=_retry_after(response.headers))


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds asked for by `retry-after-ms` or `Retry-After` (a number or a date); None for none or nonsense."""
    with contextlib.suppress(ValueError):
        return _positive(float(headers.get("retry-after-ms", "")) / 1000)
    text = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return _positive(float(text))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _positive((moment - datetime.now(UTC)).total_seconds())
    return None


def _positive(seconds: float) -> float | None:
    return seconds if 0 < seconds < float("inf") else None


def _backoffs() -> Iterator[float]:
    """Seconds before each retry, as the SDK waits, without end: stamina asks after the last attempt too."""
    for retry in itertools.count():
        step = min(FIRST_BACKOFF * 2**retry, MAX_BACKOFF)
        yield step * (1 - random.random() / 4)  # noqa: S311 - jitter, not a secret


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all projects: loading the certificate authorities takes longer than a poll."""
    return httpx.create_ssl_context()
