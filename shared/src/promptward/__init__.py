"""Promptward: a sans-IO policy decision core for AI APIs (see docs/architecture.md)."""

__version__ = "0.1.0"
