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

    `retryable`: the same request may work a moment later. `retry_after`: the seconds the API asked for. `words` and
    `hint`: of the class, for people; what is so, and what to do about it."""

    reason: ClassVar[str]
    words: ClassVar[str]
    hint: ClassVar[str]

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after

    @property
    def in_words(self) -> str:
        """What is so, and the cause as it was found."""
        return f"{self.words}: {self}."


class NotFound(ApiError):
    reason = "not_found"
    words = "The API does not know it"
    hint = "Check the name or ID under deployments, and that the key is of the right project."


class Unauthorized(ApiError):
    reason = "unauthorized"
    words = "The API refuses the key"
    hint = "Check that the key is whole, still valid, and of this project; a changed key file is read at the next poll."


class Forbidden(ApiError):
    reason = "forbidden"
    words = "The key may not read deployments"
    hint = "Give the key that permission, or use another one."


class RateLimited(ApiError):
    reason = "rate_limited"
    words = "The API answers that there are too many requests"
    hint = "Poll less often: a longer poll_interval, or fetch: list; see who else uses the key."


class ServerError(ApiError):
    reason = "server_error"
    words = "The API fails"
    hint = "There is nothing to do here: polls go on. Look at the status page of Together AI."


class PollTimeout(ApiError):
    reason = "timeout"
    words = "The API does not answer in time"
    hint = "Look at the way to the API; raise poll_timeout where it is slow as a rule."


class Unreachable(ApiError):
    reason = "connection"
    words = "The API cannot be reached"
    hint = "Check base_url, and DNS, proxy and firewall from this machine."


class InvalidResponse(ApiError):
    reason = "invalid_response"
    words = "What answers is not the Together API"
    hint = "Check base_url: a proxy or a sign-in page may answer in its place."


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
