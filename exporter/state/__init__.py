"""What is known of deployments, queues and projects; pure: the time is an argument."""
