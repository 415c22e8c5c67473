"""Stacks of deploy/compose, as containers or as processes of this machine."""
