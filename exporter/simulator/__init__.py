"""A simulator of the Together API with a simulated fleet. Shares no code with the exporter."""

SHIPPED = (  # scenarios, by name; here, so that the command line needs no other module
    "steady",
    "rollout",
    "crashloop",
    "oom",
    "no-capacity",
    "flapping",
    "queue",
    "secrets",
    "outage",
    "scale-to-zero",
    "fleet",
)
