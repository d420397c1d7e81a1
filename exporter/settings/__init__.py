"""The configuration: merges command line, environment, file and defaults into settings, or reports all problems."""
