"""HTTP server: metrics, health endpoints, status page."""
