"""What a deployment gives the Worker: variables, secrets and bindings, read once.

Cloudflare may go on using an isolate after a change of variables alone, with a new `env`. Whoever
keeps a Deployment compares `env`: all that was made from the former one is then out of date.
Source: https://developers.cloudflare.com/workers/runtime-apis/bindings/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptward_worker import settings
from promptward_worker.ports import WorkersKv

if TYPE_CHECKING:
    import js


class Deployment:
    """The Worker's surroundings.

    Attributes:
        env: what all this was read from.
        settings: the decoded variables.
        store: KV namespace POLICIES; None when there is none, as for the next two.
        ledger: namespace of the Durable Objects.
        origin: service binding ORIGIN.

    Raises:
        PolicyError: a variable is wrong.
    """

    def __init__(self, env: js.Env) -> None:
        self.env = env
        self.settings = settings.decode(self.variable)
        store: js.KvNamespace | None = getattr(env, "POLICIES", None)
        self.store = None if store is None else WorkersKv(store)
        self.ledger: js.LedgerNamespace | None = getattr(env, "LEDGER", None)
        self.origin: js.Fetcher | None = getattr(env, "ORIGIN", None)

    def variable(self, name: str) -> str | None:
        """A variable or secret; None when it is not set."""
        value = getattr(self.env, name, None)
        return value if isinstance(value, str) else None
