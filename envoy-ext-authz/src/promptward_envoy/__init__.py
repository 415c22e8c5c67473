"""Promptward for Envoy: ext_authz v3 and ext_proc v3 served by one gRPC process.

This package is a thin enforcement adapter (docs/architecture.md): codecs between Envoy's messages
and the core's nouns, the ports for this runtime, the capabilities Envoy has, and entry points. No
rule lives here.
"""

__version__ = "0.1.0"
