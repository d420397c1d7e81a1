"""What each of the chart's values is: its values.schema.json and the table in its README are made of this."""

from __future__ import annotations

from typing import Any

from exporter.rules.alert import SEVERITIES
from exporter.rules.config import LABEL, RulesConfig
from exporter.rules.groups import ALERTS
from exporter.settings.durations import IN_JSON
from exporter.settings.model import Settings

Schema = dict[str, Any]
SET_BY_THE_CHART = (
    ("", "shard"),
    ("ProjectSettings", "api_key"),
    ("WebSettings", "config_file"),
    ("WebSettings", "listen_address"),
)
PROJECT_NAME = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
DURATION: Schema = IN_JSON.json_schema or {}


def section(description: str, /, **values: Schema) -> Schema:
    return {"type": "object", "description": description, "additionalProperties": False, "properties": values}


def text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def count(description: str, **more: Any) -> Schema:
    return {"type": "integer", "description": description, **more}


def kubernetes(kind: str, description: str) -> Schema:
    """Passed on as it is, and checked by Kubernetes."""
    return {"type": kind, "description": description}


def _monitor(what: str) -> Schema:
    return section(
        f"A {what} for the Prometheus operator",
        enabled=flag(f"Make the {what}."),
        interval=text("How often Prometheus scrapes.", **DURATION),
        scrapeTimeout=text("How long a scrape may take.", **DURATION),
        labels=kubernetes("object", "Those that your Prometheus selects monitors by."),
        tlsConfig=kubernetes(
            "object", "How Prometheus verifies the exporter's certificate, and its own for mutual TLS."
        ),
        basicAuth=kubernetes("object", "The Secret with name and password, where `web` asks for them."),
        relabelings=kubernetes("array", "Before the scrape."),
        metricRelabelings=kubernetes("array", "After the scrape."),
    )


def _rules() -> Schema:
    """As `together-exporter rules` takes them."""
    properties = RulesConfig.model_json_schema()["$defs"]
    thresholds = {name: _plain(value) for name, value in properties["Thresholds"]["properties"].items()}
    names: Schema = {"type": "string", "enum": sorted(ALERTS)}
    labels: Schema = {"type": "array", "items": {"type": "string", "pattern": LABEL}, "uniqueItems": True}
    texts: Schema = {"type": "object", "propertyNames": {"pattern": LABEL}, "additionalProperties": {"type": "string"}}
    override = section(
        "One alert's own settings",
        severity={"enum": list(SEVERITIES)},
        **{"for": DURATION},
        labels=texts,
        annotations=texts,
    )
    return section(
        "The rules",
        enabled=flag("Make the PrometheusRule, with every alert and recording rule."),
        namespace=text("Its namespace; the release's if empty."),
        labels=kubernetes("object", "Those that your Prometheus selects rules by."),
        keepLabels={**labels, "description": "Target labels that alerts keep beside their identity."},
        deploymentLabels={
            **labels,
            "description": "Your own labels of deployments, such as `team`, that alerts carry as `label_team`.",
        },
        disabled={"type": "array", "items": names, "description": "Alerts to leave out."},
        enabledAlerts={"type": "array", "items": names, "description": "Alerts to add that are off by default."},
        overrides={
            "type": "object",
            "propertyNames": names,
            "additionalProperties": override,
            "description": "By alert: `{severity, for, labels, annotations}`.",
        },
        additionalLabels={**texts, "description": "Labels added to every alert."},
        additionalAnnotations={**texts, "description": "Annotations added to every alert."},
        runbookUrl=text("What an alert's name and .md are put behind; this project's runbooks if empty."),
        additionalRules=kubernetes("array", "Your own rules, in a group of their own."),
        thresholds={**section("What the rules compare with", **thresholds), "required": list(thresholds)},
    )


def schema() -> Schema:
    """The chart's values.schema.json. `config` is the exporter's own configuration, so that a typo in it is refused."""
    config, definitions = _configuration()
    values = section(
        "The values of the chart",
        nameOverride=text("Takes the place of the chart's name."),
        fullnameOverride=text("The name of all that is made, whole."),
        image=section(
            "The image",
            repository=text("Where the image is.", minLength=1),
            tag=text("The chart's appVersion if empty."),
            digest=text("Wins over the tag, such as sha256:….", pattern="^(sha256:[0-9a-f]{64})?$"),
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"], "description": "When to pull."},
        ),
        imagePullSecrets=kubernetes("array", "Secrets to pull the image with."),
        replicas=count(
            "2 for availability: each polls for itself, and the rules and dashboards take both as one.", minimum=0
        ),
        sharding=section(
            "Several exporters that share the deployments",
            total=count("Above 1: a StatefulSet of so many, each of which polls its share.", minimum=1),
        ),
        config={
            **config,
            "description": "The configuration file, as docs/configuration.md says; keys are put in from `apiKeys`.",
        },
        apiKeys={
            "type": "object",
            "description": "Each project's key by the project's name, `default` where `config` names none: "
            "`{existingSecret, key}` or, stored with the release, `{value}`.",
            "propertyNames": {"pattern": PROJECT_NAME},
            "additionalProperties": {
                "oneOf": [
                    _key("existingSecret", key={"type": "string", "minLength": 1}),
                    _key("value"),
                ]
            },
        },
        web=section(
            "TLS and passwords",
            config=kubernetes(
                "object",
                "In the format of Prometheus' exporter-toolkit; `tlsSecret` is at `/etc/together-exporter/tls`.",
            ),
            existingSecret=text("Instead: a Secret that holds it as `web.yml`."),
            tlsSecret=text("A Secret with certificate and key, mounted at `/etc/together-exporter/tls`."),
        ),
        extraArgs=kubernetes("array", "More command line options, such as `--log.format=json`."),
        extraEnv=kubernetes("array", "More environment variables, such as `HTTPS_PROXY`, or keys for `api_key_env`."),
        extraVolumes=kubernetes("array", "More volumes of the pod."),
        extraVolumeMounts=kubernetes("array", "More mounts of the container."),
        service=section(
            "The Service",
            enabled=flag("Make the Service."),
            type={"enum": ["ClusterIP", "NodePort", "LoadBalancer"], "description": "Its type."},
            port=count("Its port; the container's is 10170.", minimum=1, maximum=65535),
            annotations=kubernetes("object", "Its annotations."),
        ),
        serviceMonitor=_monitor("ServiceMonitor"),
        podMonitor=_monitor("PodMonitor"),
        prometheusRule=_rules(),
        dashboards=section(
            "The dashboards",
            enabled=flag("Make a ConfigMap for each, for the sidecar of Grafana's chart."),
            labels=kubernetes("object", "Those that the sidecar selects by."),
            annotations=kubernetes("object", "Such as the sidecar's folder."),
        ),
        networkPolicy=section(
            "The NetworkPolicy",
            enabled=flag("Make it: scrapes come in, DNS and HTTPS go out, nothing else."),
            **{"from": kubernetes("array", "Who may scrape, as NetworkPolicy peers; everyone if empty.")},
            egress=kubernetes("array", "Where it may connect to."),
        ),
        podDisruptionBudget=section(
            "The PodDisruptionBudget",
            enabled=flag("Make it."),
            maxUnavailable={"type": ["integer", "string"], "description": "How many may be away."},
        ),
        serviceAccount=section(
            "The ServiceAccount; it has no token, nothing here talks to Kubernetes",
            create=flag("Make it."),
            name=text("Its name; the release's if empty."),
            annotations=kubernetes("object", "Its annotations."),
        ),
        podSecurityContext=kubernetes("object", "The pod's."),
        securityContext=kubernetes("object", "The container's."),
        resources=kubernetes("object", "See docs/scaling.md for what a fleet takes."),
        podAnnotations=kubernetes("object", "More annotations of the pod."),
        podLabels=kubernetes("object", "More labels of the pod."),
        nodeSelector=kubernetes("object", "Where it may run."),
        tolerations=kubernetes("array", "Where else it may run."),
        affinity=kubernetes("object", "Where it should run."),
        topologySpreadConstraints=kubernetes(
            "array", "How pods are spread; over nodes where there are several, if empty."
        ),
        priorityClassName=text("How important it is."),
    )
    values["properties"]["global"] = {"type": "object"}  # Helm's own
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "together-exporter",
        **values,
        "$defs": definitions,
    }


def _key(name: str, **more: Schema) -> Schema:
    properties = {name: {"type": "string", "minLength": 1}, **more}
    return {"type": "object", "additionalProperties": False, "required": [name], "properties": properties}


def _configuration() -> tuple[Schema, Schema]:
    """The settings' schema and what it refers to, without what the chart sets itself."""
    made = _plain(Settings.model_json_schema())
    definitions = made.pop("$defs")
    for model, name in SET_BY_THE_CHART:
        del (definitions[model] if model else made)["properties"][name]
    return made, definitions


def _plain(schema: Any) -> Any:
    """Without titles and defaults, which are of the model as it is read, not as it is written."""
    if isinstance(schema, dict):
        return {name: _plain(value) for name, value in schema.items() if not _is_noise(name, value)}
    return [_plain(value) for value in schema] if isinstance(schema, list) else schema


def _is_noise(name: str, value: Any) -> bool:
    return name == "default" or (name == "title" and isinstance(value, str))
