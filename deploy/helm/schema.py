"""What each of the chart's values is: its values.schema.json and the table in its README are made of this."""

from __future__ import annotations

from typing import Any

from exporter.rules.alert import SEVERITIES
from exporter.rules.config import LABEL, RESERVED, RulesConfig
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
SET_BY_VALUES = (
    "^--(config\\.file|shard\\.|web\\.(listen-address|route-prefix|telemetry-path|config\\.file))"  # options
)
LIST: Schema = {"type": ["array", "null"]}  # a value that is left empty has its default
MAP: Schema = {"type": ["object", "null"]}
PROBE = "Fields of the probe; its handler, unless one is given here, asks"


def section(description: str, /, **values: Schema) -> Schema:
    return {**MAP, "description": description, "additionalProperties": False, "properties": values}


def text(description: str, **more: Any) -> Schema:
    return {"type": ["string", "null"], "description": description, **more}


def flag(description: str) -> Schema:
    return {"type": ["boolean", "null"], "description": description}


def count(description: str, **more: Any) -> Schema:
    return {"type": ["integer", "null"], "description": description, **more}


def kubernetes(kind: str, description: str) -> Schema:
    """Passed on as it is, and checked by Kubernetes."""
    return {"type": [kind, "null"], "description": description}


def labels(description: str) -> Schema:
    return {**kubernetes("object", description), "additionalProperties": {"type": "string"}}


def _monitor(what: str, **more: Schema) -> Schema:
    return section(
        f"A {what} for the Prometheus operator",
        enabled=flag(f"Make the {what}."),
        namespace=text("Its namespace; the release's if empty."),
        labels=kubernetes("object", "Those that your Prometheus selects monitors by."),
        annotations=kubernetes("object", "Its annotations."),
        jobLabel=text(
            "The label whose value is the label `job`. By default the job is `together-exporter` everywhere; with "
            "several sharded releases take `app.kubernetes.io/instance`."
        ),
        interval=text("How often Prometheus scrapes.", **DURATION),
        scrapeTimeout=text("How long a scrape may take; at most the interval.", **DURATION),
        scheme={
            "enum": ["", "http", "https", None],
            "description": "Empty: https where `web.config` has `tls_server_config`, or `web.tlsSecret` is set.",
        },
        tlsConfig=kubernetes(
            "object", "How Prometheus verifies the exporter's certificate, and its own for mutual TLS."
        ),
        basicAuth=kubernetes("object", "The Secret with name and password, where `web` asks for them."),
        honorLabels=flag("Labels of the metrics win over those of the target."),
        sampleLimit=count("More samples than this fail the scrape; 0 for no limit.", minimum=0),
        **more,
        podTargetLabels=kubernetes("array", "Labels of the pod that its metrics carry."),
        relabelings=kubernetes("array", "Before the scrape."),
        metricRelabelings=kubernetes("array", "After the scrape."),
    )


def _rules() -> Schema:
    """As `together-exporter rules` takes them."""
    properties = RulesConfig.model_json_schema()["$defs"]
    thresholds = {name: _plain(value) for name, value in properties["Thresholds"]["properties"].items()}
    names: Schema = {"type": "string", "enum": sorted(ALERTS)}
    names_of_labels: Schema = {**LIST, "items": {"type": "string", "pattern": LABEL}, "uniqueItems": True}
    free: Schema = {"not": {"enum": sorted(RESERVED)}}
    kept = {**names_of_labels, "items": {**names_of_labels["items"], **free}}
    texts: Schema = _named(LABEL, {"type": "string"})
    added: Schema = {**texts, "propertyNames": free}
    override = section(
        "One alert's own settings",
        severity={"enum": list(SEVERITIES)},
        **{"for": DURATION},
        labels=added,
        annotations=texts,
    )
    return section(
        "The rules",
        enabled=flag("Make the PrometheusRule, with every alert and recording rule."),
        namespace=text("Its namespace; the release's if empty."),
        labels=kubernetes("object", "Those that your Prometheus selects rules by."),
        keepLabels={**kept, "description": "Target labels that alerts keep beside their identity."},
        deploymentLabels={
            **names_of_labels,
            "items": {"type": "string", "pattern": LABEL, "not": {"pattern": "^label_"}},
            "description": "Your own labels of deployments, such as `team`, that alerts carry as `label_team`.",
        },
        disabled={**LIST, "items": names, "description": "Alerts to leave out."},
        enabledAlerts={**LIST, "items": names, "description": "Alerts to add that are off by default."},
        overrides={
            **_named(f"^({'|'.join(sorted(ALERTS))})$", override),
            "description": "By alert: `{severity, for, labels, annotations}`.",
        },
        additionalLabels={**added, "description": "Labels added to every alert."},
        additionalAnnotations={**texts, "description": "Annotations added to every alert."},
        runbookUrl=text("What an alert's name and .md are put behind; this project's runbooks if empty."),
        additionalRules=kubernetes("array", "Your own rules, in a group of their own."),
        thresholds=section("What the rules compare with", **thresholds),
    )


def schema() -> Schema:
    """The chart's values.schema.json. `config` is the exporter's own configuration, so that a typo in it is refused."""
    config, definitions = _configuration()
    values = section(
        "The values of the chart",
        enabled=flag("For the `condition` of an umbrella chart; has no effect elsewhere."),
        nameOverride=text("Replaces the chart's name in names and labels."),
        fullnameOverride=text("The name of all that is made; cut to 52 characters."),
        namespaceOverride=text("The namespace of all that is made; the release's if empty."),
        commonLabels=labels("Labels added to all that is made, pods included."),
        annotations=kubernetes("object", "Annotations of the Deployment or StatefulSet."),
        image=section(
            "The image",
            registry=text("Its registry; `global.imageRegistry` takes precedence."),
            repository=text("Its name in the registry.", minLength=1),
            tag=text("The chart's appVersion if empty."),
            digest=text("Wins over the tag, such as sha256:….", pattern="^(sha256:[0-9a-f]{64})?$"),
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never", None], "description": "When to pull."},
        ),
        imagePullSecrets=kubernetes("array", "Secrets to pull the image with, beside `global.imagePullSecrets`."),
        replicas=count(
            "2 for availability: each polls for itself, and the rules and dashboards take both as one.", minimum=0
        ),
        sharding=section(
            "Several exporters that share the deployments",
            total=count("Above 1: a StatefulSet of so many, each of which polls its share.", minimum=1),
        ),
        strategy=kubernetes("object", "The Deployment's `strategy`, or the StatefulSet's `updateStrategy`."),
        revisionHistoryLimit=count("How many old revisions are kept.", minimum=0),
        terminationGracePeriodSeconds=count("How long the exporter may take to end.", minimum=0),
        config={
            **config,
            **MAP,
            "description": "The configuration file, as docs/configuration.md says; keys are put in from `apiKeys`.",
        },
        apiKeys={
            **_named(
                PROJECT_NAME,
                {"oneOf": [_key("existingSecret", key={"type": "string", "minLength": 1}), _key("value")]},
            ),
            "description": "Each project's key by the project's name, `default` where `config` names none: "
            "`{existingSecret, key}` or, stored with the release, `{value}`.",
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
        extraArgs={
            **LIST,
            "items": {"type": "string", "not": {"pattern": SET_BY_VALUES}},
            "description": "More command line options, such as `--log.format=json`; what probes and monitors depend on "
            "belongs in `config.web`.",
        },
        extraEnv=kubernetes("array", "More environment variables, such as `HTTPS_PROXY`, or keys for `api_key_env`."),
        extraEnvFrom=kubernetes(
            "array",
            "Secrets or ConfigMaps of variables. A project without a key is then accepted: `TOGETHER_API_KEY` may be "
            "among them.",
        ),
        extraVolumes=kubernetes("array", "More volumes of the pod."),
        extraVolumeMounts=kubernetes("array", "More mounts of the container."),
        initContainers=kubernetes("array", "Containers that run before."),
        extraContainers=kubernetes("array", "Containers that run beside."),
        extraManifests={
            **LIST,
            "items": {"type": ["object", "string"]},
            "description": "Manifests installed with the release, such as an Ingress; templates in them are rendered.",
        },
        service=section(
            "The Service",
            enabled=flag("Make the Service."),
            type={"enum": ["ClusterIP", "NodePort", "LoadBalancer", None], "description": "Its type."},
            port=count("Its port; the container's is 10170.", minimum=1, maximum=65535),
            nodePort=count("Its port on the nodes; chosen by Kubernetes if 0.", minimum=0, maximum=65535),
            labels=labels("Its labels."),
            annotations=kubernetes("object", "Its annotations."),
            ipFamilyPolicy=text("SingleStack, PreferDualStack or RequireDualStack; the cluster's default if empty."),
            ipFamilies=kubernetes("array", "IPv4, IPv6 or both; the cluster's default if empty."),
            externalTrafficPolicy=text("Cluster or Local; Kubernetes' default if empty."),
            loadBalancerClass=text("The load balancer's class; the cluster's default if empty."),
            loadBalancerSourceRanges=kubernetes("array", "Who may reach the load balancer."),
        ),
        serviceMonitor=_monitor(
            "ServiceMonitor",
            targetLabels=kubernetes("array", "Labels of the Service that its metrics carry."),
        ),
        podMonitor=_monitor("PodMonitor"),
        prometheusRule=_rules(),
        dashboards=section(
            "The dashboards",
            enabled=flag("Make a ConfigMap for each, for the sidecar of Grafana's chart."),
            namespace=text("Their namespace; the release's if empty."),
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
            minAvailable={
                "type": ["integer", "string", "null"],
                "description": "How many must be there; instead of the other.",
            },
            maxUnavailable={"type": ["integer", "string", "null"], "description": "How many may be away."},
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
        livenessProbe=kubernetes("object", f"{PROBE} `/-/healthy`, below `config.web.route_prefix`."),
        readinessProbe=kubernetes("object", f"{PROBE} `/-/ready`, below `config.web.route_prefix`."),
        startupProbe=kubernetes("object", "None if empty; else as `livenessProbe`."),
        podAnnotations=kubernetes("object", "More annotations of the pod."),
        podLabels=labels("More labels of the pod; one that the chart sets is refused."),
        nodeSelector=kubernetes("object", "Where it may run."),
        tolerations=kubernetes("array", "Where else it may run."),
        affinity=kubernetes("object", "Where it should run."),
        topologySpreadConstraints=kubernetes(
            "array", "How pods are spread; over nodes where there are several, if empty."
        ),
        priorityClassName=text("How important it is."),
        dnsPolicy=text("Kubernetes' default if empty."),
        dnsConfig=kubernetes("object", "The pod's."),
        hostAliases=kubernetes("array", "Entries of the pod's /etc/hosts."),
    )
    values["properties"]["global"] = {"type": "object"}  # the umbrella chart's: imageRegistry and imagePullSecrets
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "together-exporter",
        **values,
        "$defs": definitions,
    }


def _named(pattern: str, value: Schema) -> Schema:
    """Not by `propertyNames`, of whose errors Helm 4 gives a wrong place."""
    return {**MAP, "patternProperties": {pattern: value}, "additionalProperties": False}


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
