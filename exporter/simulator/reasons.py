"""Reasons why a replica is not running, with the messages of Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass

MESSAGES = {
    "ContainerCreating": 'Pulling image "{image}"',
    "CrashLoopBackOff": "back-off 20s restarting failed container=app pod={replica}",
    "OOMKilled": "Container exceeded its memory limit of {memory:g}Gi (exit code 137)",
    "ImagePullBackOff": 'Back-off pulling image "{image}"',
    "ErrImagePull": 'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": not found',
    "Unschedulable": "0/128 nodes are available: 128 Insufficient nvidia.com/gpu."
    " preemption: 0/128 nodes are available: 128 No preemption victims found for incoming pod.",
    "FailedMount": "Unable to attach or mount volumes: unmounted volumes=[{volume}]:"
    " timed out waiting for the condition",
    "VolumePreloadFailed": "Could not copy volume {volume}: checksum mismatch",
    "CreateContainerConfigError": 'secret "{secret}" not found',
    "Evicted": "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9382Mi.",
    "Preempted": "Preempted in order to admit a higher priority workload",
    "Completed": "Container exited with code 0",
}
UNREADY = "Readiness probe failed: HTTP probe failed with statuscode: 503"
DRAINING = "Container has been asked to terminate; grace period {grace}s"


@dataclass(frozen=True, slots=True)
class Details:
    """Values used in the messages of one replica."""

    replica: str
    image: str
    memory: float
    volume: str
    secret: str


def message(reason: str, details: Details) -> str:
    return MESSAGES[reason].format(
        replica=details.replica,
        image=details.image,
        memory=details.memory,
        volume=details.volume,
        secret=details.secret,
    )
