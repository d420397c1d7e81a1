"""Errors of a poll, one class per value of the `reason` label.

ApiError
├── NotFound          404, 410
├── Unauthorized      401, or no usable key
├── Forbidden         403
├── PaymentRequired   402: the spending limit is reached
├── RateLimited       429
├── ServerError       any other unsuccessful status
├── PollTimeout       poll deadline exceeded
├── Unreachable       DNS, TCP, TLS or a broken connection
├── InvalidResponse   successful status, invalid body
│   └── IncompleteList    of a deployment that is missing from a list which says that it is incomplete
└── InternalError     unexpected exception in the exporter
"""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A failed poll. The message holds no secret and no response body.

    `retryable`: the same request may succeed when repeated. `retry_after`: seconds requested by the API.
    `pause`: seconds without requests, from now.
    `request_id`: assigned by the API, for support requests. `summary` and `hint`: for users."""

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
        self.pause = 0.0

    def describe(self) -> str:
        """The summary and the cause."""
        return f"{self.summary}: {self}."


class NotFound(ApiError):
    reason = "not_found"
    summary = "Deployment not found"
    hint = "Check the name or ID in deployments, and that the API key belongs to the right project."


class Unauthorized(ApiError):
    reason = "unauthorized"
    summary = "API key rejected"
    hint = (
        "Check that the API key is complete, valid and of this project. A changed key file is reloaded automatically; "
        "a changed environment variable requires a restart."
    )


class Forbidden(ApiError):
    reason = "forbidden"
    summary = "API key has no permission to read deployments"
    hint = "Grant the API key read access to deployments, or use another key."


class PaymentRequired(ApiError):
    reason = "payment_required"
    summary = "Spending limit reached"
    hint = "Raise the spending limit or add credit in Together's console."


class RateLimited(ApiError):
    reason = "rate_limited"
    summary = "Rate limited by the API"
    hint = "Poll less often (longer poll_interval, or fetch: list), and check for other clients of this API key."


class ServerError(ApiError):
    reason = "server_error"
    summary = "API server error"
    hint = "Check Together AI's status page. The exporter keeps polling."


class PollTimeout(ApiError):
    reason = "timeout"
    summary = "API request timed out"
    hint = "Check the network path to the API. Raise poll_timeout if the API is consistently slow."


class Unreachable(ApiError):
    reason = "connection"
    summary = "API unreachable"
    hint = "Check base_url, DNS, proxy, firewall and CA certificates of this host."


class InvalidResponse(ApiError):
    reason = "invalid_response"
    summary = "Invalid response from the API"
    hint = "Check base_url. A proxy or a sign-in page may have responded instead of the API."


class IncompleteList(InvalidResponse):
    hint = "Name the deployments in deployments and set fetch: each, which needs no list."

    def __init__(self) -> None:
        super().__init__("the API says that its list is incomplete")


class InternalError(ApiError):
    reason = "internal_error"
    summary = "Internal error of the exporter"
    hint = "This is a bug. Please report it with the traceback from the log."


# Values of the label `reason`, in the order of the documentation.
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
