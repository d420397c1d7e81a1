"""The Together deployments API: its answers, its errors, its client."""
