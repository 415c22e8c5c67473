"""Promptward for Kong: an external plugin server that fails closed on a PDK that fails open.

    Kong worker ── MessagePack-RPC over a Unix socket ── front process ── socket pairs ── workers
                                                         (one loop,                       (the
                                                          no checks)                       engine)

The front speaks Kong's protocol and never runs a check; workers run the engine and never speak to
Kong. See docs/adr/0010 for the measurements behind that split.
"""

__version__ = "0.1.0"
