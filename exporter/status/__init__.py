"""What a person or a script asks first: does it see my deployments, and what is wrong."""
