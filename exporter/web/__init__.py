"""HTTP: the metrics, the health endpoints and the page for people."""
