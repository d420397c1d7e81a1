"""Responses of the endpoints, as functions of the fleet and the request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from exporter.simulator import logs
from exporter.simulator.deployment import Deployment
from exporter.simulator.fleet import Fleet
from exporter.simulator.resources import MAX_TTL, MIN_TTL, Secret
from exporter.simulator.revisions import Revision
from exporter.simulator.spec import DEPLOYMENT_NAME, updated

T = TypeVar("T")

DEFAULT_LIMIT, MAX_LIMIT = 10, 100  # revision events in one answer


class ApiError(Exception):
    """A response other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def body(self) -> bytes:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"  # noqa: PLR2004 - as HTTP has it
        return _encoded({"error": {"message": str(self), "type": kind}})


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a request that endpoints use."""

    fleet: Fleet
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    def deployment(self) -> Deployment:
        """Returns the deployment in the path, by name or ID. Raises ApiError."""
        return _present(self.fleet.find(self.path["id"]), "deployment")


def list_deployments(call: Call) -> bytes:
    bodies = b",".join(deployment.body() for deployment in call.fleet.deployments.values())
    return b'{"object":"list","data":[' + bodies + b"]}"


def get_deployment(call: Call) -> bytes:
    return call.deployment().body()


def update_deployment(call: Call) -> bytes:
    deployment = call.deployment()
    name = call.body.get("name", deployment.name)
    try:
        spec = updated(deployment.spec, call.body)
        if unknown := next((secret for secret in spec.secrets if call.fleet.secret(secret) is None), None):
            raise ValueError(f"environment_variables: there is no secret {unknown}")
        if not isinstance(name, str) or not (name == deployment.name or DEPLOYMENT_NAME.fullmatch(name)):
            raise ValueError("name: must be 1 to 100 letters, digits, underscores or hyphens")
        call.fleet.rename(deployment, name)
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    deployment.update(spec)
    return deployment.body()


def roll_back(call: Call) -> bytes:
    deployment = call.deployment()
    identifier = call.body.get("revision_identifier")
    if not isinstance(identifier, str) or not identifier:
        raise ApiError(400, "revision_identifier is required: a revision's number or ID, as a string")
    deployment.rollback(_present(deployment.history.find(identifier), "revision"))
    return deployment.body()


def list_revisions(call: Call) -> bytes:
    limit = _number(call.query, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise ApiError(400, f"limit must be between 1 and {MAX_LIMIT}")
    before = _number(call.query, "before", 0) if "before" in call.query else None
    return _listed([event.as_json() for event in call.deployment().history.events(limit, before)])


def get_revision(call: Call) -> bytes:
    deployment = call.deployment()
    revision = _present(deployment.history.find(call.path["revision"]), "revision")
    return _encoded(_revision(deployment, revision))


def get_logs(call: Call) -> bytes:
    wanted = logs.Filter(**{name: call.query.get(name) or None for name in ("replica_id", "revision", "version")})
    lines = logs.lines(call.deployment().replicas.values(), wanted, call.fleet.now)
    return _encoded({"lines": [f"{call.fleet.time_at(line.at)} [{line.replica}] {line.text}" for line in lines]})


def get_queue(call: Call) -> bytes:
    if not (model := call.query.get("model")):
        raise ApiError(400, "model is required")
    return _encoded(call.fleet.queue_json(model))


def list_secrets(call: Call) -> bytes:
    return _listed([_secret(call.fleet, secret) for secret in call.fleet.secrets.values()])


def get_secret(call: Call) -> bytes:
    return _encoded(_secret(call.fleet, _present(call.fleet.secret(call.path["id"]), "secret")))


def update_secret(call: Call) -> bytes:
    """A new value or a new time to live restarts the expiry. The value is not stored."""
    secret = _present(call.fleet.secret(call.path["id"]), "secret")
    if call.body.get("name", secret.name) != secret.name:
        raise ApiError(400, "name: the simulator does not rename secrets")
    ttl = call.body.get("ttl_seconds", secret.ttl if "value" in call.body else None)
    if ttl is not None and (type(ttl) is not int or not MIN_TTL <= ttl <= MAX_TTL):
        raise ApiError(400, f"ttl_seconds must be between {MIN_TTL} and {MAX_TTL}")
    if isinstance(description := call.body.get("description"), str):
        secret.description = description
    if ttl is not None:
        call.fleet.set_expiry(secret.name, ttl, ttl)
    return _encoded(_secret(call.fleet, secret))


def list_volumes(call: Call) -> bytes:
    return _listed([volume.as_json(call.fleet.mounted_by(volume)) for volume in call.fleet.volumes.values()])


def get_volume(call: Call) -> bytes:
    wanted = call.path["id"]
    volumes = call.fleet.volumes.values()
    volume = _present(next((each for each in volumes if wanted in {each.name, each.id}), None), "volume")
    version = _number(call.query, "version", volume.version)
    if not 1 <= version <= volume.version:
        raise ApiError(404, "volume version not found")
    return _encoded(volume.as_json(call.fleet.mounted_by(volume), version))


def get_health(call: Call) -> bytes:
    """Returns the deployment's health as its load balancer forwards it."""
    if not call.deployment().ready:
        raise ApiError(503, "no replica is ready")
    return _encoded({"status": "ok"})


Endpoint = Callable[[Call], bytes]
ENDPOINTS: tuple[tuple[str, str, Endpoint], ...] = (  # fixed paths before those with a deployment's name
    ("GET", "/v1/deployments", list_deployments),
    ("GET", "/v1/deployments/secrets", list_secrets),
    ("GET", "/v1/deployments/secrets/{id:path}", get_secret),
    ("PATCH", "/v1/deployments/secrets/{id:path}", update_secret),
    ("GET", "/v1/deployments/storage/volumes", list_volumes),
    ("GET", "/v1/deployments/storage/volumes/{id}", get_volume),
    ("GET", "/v1/deployments/{id}", get_deployment),
    ("PATCH", "/v1/deployments/{id}", update_deployment),
    ("GET", "/v1/deployments/{id}/revisions", list_revisions),
    ("GET", "/v1/deployments/{id}/revisions/{revision}", get_revision),
    ("POST", "/v1/deployments/{id}/rollback", roll_back),
    ("GET", "/v1/deployments/{id}/logs", get_logs),
    ("GET", "/v1/queue/metrics", get_queue),
    ("GET", "/v1/deployment-request/{id}/health", get_health),
)


def _present(found: T | None, kind: str) -> T:
    if found is None:
        raise ApiError(404, f"{kind} not found")
    return found


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise ApiError(400, f"{name} must be a whole number") from None


def _revision(deployment: Deployment, revision: Revision) -> dict[str, Any]:
    fields = deployment.spec_json(revision)
    for unlisted in ("description", "model_mounts"):  # not part of the SDK's revision
        fields.pop(unlisted, None)
    return {
        "object": "revision",
        "revision_id": revision.id,
        "created_at": revision.created_at,
        "protocol": "http",
        "gpu_type": "",  # required; empty without a GPU
        **fields,
    }


def _secret(fleet: Fleet, secret: Secret) -> dict[str, Any]:
    return secret.as_json(fleet.secret_expiry(secret.name))


def _listed(items: list[dict[str, Any]]) -> bytes:
    return _encoded({"object": "list", "data": items})


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
