"""What must be found in no output: the secrets that the tests hand to the exporter, and where all output is kept."""

from __future__ import annotations

from collections.abc import Iterable

API_KEY = "sk-canary-0123456789"
VARIABLE_VALUE = "canary-value-of-a-variable"
PASSWORD = "canary-password"
SECRETS = (
    API_KEY,
    VARIABLE_VALUE,
    PASSWORD,
    "simulated-plain-secret",  # in the simulator's answers
    "hunter2",  # in the answers under testdata
    "secret-key",  # of the client's own tests
)

outputs: list[str] = []  # of the test that is running: logs, pages, what commands print


def leaks(texts: Iterable[str]) -> list[str]:
    """A line around each secret that is in one of the texts."""
    leaking = [text for text in texts if has_secret(text)]
    return [line for text in leaking for line in text.splitlines() if has_secret(line)]


def has_secret(text: str) -> bool:
    return any(secret in text for secret in SECRETS)
