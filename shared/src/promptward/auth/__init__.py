"""Mechanisms of authentication and authorization: tokens, API keys, claim matching, globs.

The checks `identity` and `authorization` are built from these; nothing here knows about them.
"""
