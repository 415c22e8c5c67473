"""Implementations of the core's ports for CPython hosts (Envoy, Kong, the command line).

Each file needs at most one extra of the distribution; nothing is imported here, so that a host
pays only for what it uses.
"""
