"""Which alert watches for what a finding says, and where its runbook is."""

from __future__ import annotations

import re

from exporter import DOCUMENTATION
from exporter.status.model import Error, Finding

RUNBOOKS = f"{DOCUMENTATION.removesuffix('README.md')}runbooks/"
# By the reason of a failed poll.
ERRORS = {
    "not_found": "TogetherDeploymentNotFound",
    "unauthorized": "TogetherKeyRefused",
    "forbidden": "TogetherKeyRefused",
    "payment_required": "TogetherSpendingLimitReached",
    "rate_limited": "TogetherRateLimited",
    "server_error": "TogetherPollsFailing",
    "timeout": "TogetherPollsFailing",
    "connection": "TogetherPollsFailing",
    "invalid_response": "TogetherPollsFailing",
    "internal_error": "TogetherPollsFailing",
}
# By what the message of a finding contains; the first match counts. None: no alert watches for it.
FINDINGS: tuple[tuple[str, str | None], ...] = (
    (r"^Status is Failed", "TogetherDeploymentFailed"),
    (r"^Status .* is unknown", "TogetherUnknownStatus"),
    (r"^Scaled to zero", "TogetherDeploymentScaledToZero"),
    (r"^No ready replicas", "TogetherDeploymentNoReadyReplica"),
    (r"^\d+ of \d+ replicas are ready", "TogetherDeploymentBelowDesired"),
    (r"crash looping", "TogetherReplicaCrashLooping"),
    (r"out of memory", "TogetherReplicaOutOfMemory"),
    (r"cannot (pull|mount)", "TogetherReplicaImageOrVolume"),
    (r"no capacity", "TogetherReplicaNoCapacity"),
    (r"not ready", "TogetherReplicaNotReady"),
    (r"could not preload", "TogetherReplicaPreloadFailed"),
    (r"^Secret .* has expired", "TogetherSecretExpired"),
    (r"^Secret .* expires", "TogetherSecretExpires"),
    (r"^No current data|^Never read", "TogetherDataStale"),
    (r"^Rolling out", "TogetherDeploymentRolloutStuck"),
    (r"", None),
)
_FINDINGS = tuple((re.compile(pattern), alert) for pattern, alert in FINDINGS)


def runbook(about: Finding | Error) -> str | None:
    """The runbook's URL; None where no alert watches for it."""
    alert = ERRORS.get(about.reason) if isinstance(about, Error) else _alert(about.message)
    return None if alert is None else f"{RUNBOOKS}{alert}.md"


def _alert(message: str) -> str | None:
    return next(alert for pattern, alert in _FINDINGS if pattern.search(message))
