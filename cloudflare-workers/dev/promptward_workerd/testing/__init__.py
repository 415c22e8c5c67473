"""Test support: the Worker's ports reached from outside, and the gateway for the vectors."""
