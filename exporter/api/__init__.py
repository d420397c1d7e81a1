"""The Together deployments API: models, errors and client."""
