"""Everything that can go wrong between a poll and a good answer, one class per `reason` label.

ApiError
├── NotFound          404
├── Unauthorized      401, or no usable key
├── Forbidden         403
├── RateLimited       429
├── ServerError       any other status that is not a success
├── PollTimeout       the poll's deadline passed
├── Unreachable       DNS, TCP, TLS or a broken connection
└── InvalidResponse   a success whose body cannot be read as the API's
"""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A poll that failed in an expected way. The message names no secret and no response body.

    `retryable`: the same request may work a moment later. `retry_after`: the seconds the API asked for."""

    reason: ClassVar[str]

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


class NotFound(ApiError):
    reason = "not_found"


class Unauthorized(ApiError):
    reason = "unauthorized"


class Forbidden(ApiError):
    reason = "forbidden"


class RateLimited(ApiError):
    reason = "rate_limited"


class ServerError(ApiError):
    reason = "server_error"


class PollTimeout(ApiError):
    reason = "timeout"


class Unreachable(ApiError):
    reason = "connection"


class InvalidResponse(ApiError):
    reason = "invalid_response"


# In the order of the contract; the label values of `reason` wherever a poll's failure is counted or shown.
ERRORS: tuple[type[ApiError], ...] = (
    NotFound,
    Unauthorized,
    Forbidden,
    RateLimited,
    ServerError,
    PollTimeout,
    Unreachable,
    InvalidResponse,
)
REASONS: tuple[str, ...] = tuple(error.reason for error in ERRORS)
