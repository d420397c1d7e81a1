from __future__ import annotations

import pytest

from exporter.api import errors
from exporter.api.errors import ERRORS, REASONS, ApiError, InternalError, ServerError, Unreachable


def test_the_reasons_are_those_of_the_contract() -> None:
    assert ", ".join(REASONS) == (
        "not_found, unauthorized, forbidden, payment_required, rate_limited, server_error, timeout, connection, "
        "invalid_response, internal_error"
    )


def test_every_error_is_in_the_table_once() -> None:
    defined = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ApiError)}
    assert set(ERRORS) == {each for each in defined if "reason" in vars(each)}  # not the kinds of one
    assert len(set(REASONS)) == len(REASONS) == len(ERRORS)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
def test_every_error_says_what_and_what_to_do(error: type[ApiError]) -> None:
    assert error.summary[0].isupper()
    assert not error.summary.endswith(".")
    assert error.hint.endswith(".")
    assert error("HTTP 5xx").describe() == f"{error.summary}: HTTP 5xx."


def test_an_error_is_tried_again_only_where_it_says_so() -> None:
    error = ServerError("HTTP 503")
    assert (error.retryable, error.retry_after, error.request_id) == (False, None, None)
    asked = ServerError("HTTP 503", retryable=True, retry_after=3.0, request_id="r-1")
    assert (asked.retryable, asked.retry_after, asked.request_id) == (True, 3.0, "r-1")
    assert (InternalError.reason, Unreachable.reason) == ("internal_error", "connection")
