"""What the quickstart puts around the service: a small upstream and a policy to try."""
