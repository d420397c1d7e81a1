"""Everything that can go wrong between a poll and a good answer, one class per `reason` label.

ApiError
├── NotFound          404, 410
├── Unauthorized      401, or no usable key
├── Forbidden         403
├── PaymentRequired   402: the spending limit is reached
├── RateLimited       429
├── ServerError       any other status that is not a success
├── PollTimeout       the poll's deadline passed
├── Unreachable       DNS, TCP, TLS or a broken connection
├── InvalidResponse   a success whose body cannot be read as the API's
└── InternalError     an exception of ours
"""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A failed poll. The message holds no secret and no response body.

    `retryable`: the same request may succeed a moment later. `retry_after`: the seconds the API asked for.
    `request_id`: the API's own, which its support asks for. `summary` and `hint`: of the class, for people."""

    reason: ClassVar[str]
    summary: ClassVar[str]
    hint: ClassVar[str]

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after: float | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id

    def describe(self) -> str:
        """The summary and the cause."""
        return f"{self.summary}: {self}."


class NotFound(ApiError):
    reason = "not_found"
    summary = "The API does not know this deployment"
    hint = "Check the name or ID under deployments, and that the key belongs to the right project."


class Unauthorized(ApiError):
    reason = "unauthorized"
    summary = "The API rejects the key"
    hint = "Check that the key is complete, valid and of this project; a key file is read again when it changes."


class Forbidden(ApiError):
    reason = "forbidden"
    summary = "The key is not allowed to read deployments"
    hint = "Grant the key read access to deployments, or use another key."


class PaymentRequired(ApiError):
    reason = "payment_required"
    summary = "The account's spending limit is reached"
    hint = "Raise the spending limit or add credit in Together's console."


class RateLimited(ApiError):
    reason = "rate_limited"
    summary = "The API limits the request rate"
    hint = "Poll less often (a longer poll_interval, or fetch: list), and check what else uses this key."


class ServerError(ApiError):
    reason = "server_error"
    summary = "The API failed to answer"
    hint = "Check Together AI's status page. The exporter keeps polling."


class PollTimeout(ApiError):
    reason = "timeout"
    summary = "The API did not answer in time"
    hint = "Check the network path to the API; raise poll_timeout if it is usually slow."


class Unreachable(ApiError):
    reason = "connection"
    summary = "The API cannot be reached"
    hint = "Check base_url, DNS, proxy, firewall and certificate authorities on this machine."


class InvalidResponse(ApiError):
    reason = "invalid_response"
    summary = "The answer is not one of the Together API"
    hint = "Check base_url: a proxy or a sign-in page may have answered instead."


class InternalError(ApiError):
    reason = "internal_error"
    summary = "The exporter failed to process the answer"
    hint = "This is a bug: please report it with the traceback from the log."


# In the order of the contract; the label values of `reason` wherever a failed poll is counted or shown.
ERRORS: tuple[type[ApiError], ...] = (
    NotFound,
    Unauthorized,
    Forbidden,
    PaymentRequired,
    RateLimited,
    ServerError,
    PollTimeout,
    Unreachable,
    InvalidResponse,
    InternalError,
)
REASONS: tuple[str, ...] = tuple(error.reason for error in ERRORS)
