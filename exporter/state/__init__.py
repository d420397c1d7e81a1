"""State of deployments, queues and projects. Pure: the time is an argument."""
