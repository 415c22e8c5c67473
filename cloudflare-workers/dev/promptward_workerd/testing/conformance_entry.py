"""Entry module of the real Worker with one window more: what its ledger remembers. Never deployed.

GET /.test/entries?tenant=T   every entry of the tenant's Durable Object
"""

from __future__ import annotations

import js
from workers import Request

from promptward.ledger.keys import digest
from promptward_worker import javascript
from promptward_worker.ledger_object import BudgetLedgerObject
from promptward_worker.worker import Default as RealDefault

__all__ = ["BudgetLedgerObject", "Default"]
_AT_MOST = "[100000]"


class Default(RealDefault):
    """The real entry point."""

    def fetch(self, request: Request) -> object:
        """Guard the request, or show the ledger."""
        url = js.URL.new(request.url)
        if url.pathname != "/.test/entries":
            return super().fetch(request)
        return self._entries(url)

    async def _entries(self, url: js.URL) -> js.Response:
        stub = self.bindings.LEDGER.getByName(digest(url.searchParams.get("tenant")))
        return javascript.response(200, (), (await stub.entries(_AT_MOST)).encode())
