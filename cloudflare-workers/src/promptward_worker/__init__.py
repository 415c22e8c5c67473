"""Promptward as a Python Worker: codec, ports, capabilities and entry; no rule lives here.

Module globals are shared by concurrent requests of one isolate and vanish with it, so they hold
caches only, never anything of a request.
"""
