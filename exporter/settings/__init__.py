"""The configuration: command line, environment, file and defaults become settings, or problems that name their hint."""
