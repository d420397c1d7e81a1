"""Where releases are published: the one place that names the image and the chart."""

REGISTRY = "ghcr.io"
REPOSITORY = "together-exporter/together-exporter"
IMAGE = f"{REGISTRY}/{REPOSITORY}"
CHARTS = f"oci://{REGISTRY}/together-exporter/charts"
CHART = f"{CHARTS}/together-exporter"
