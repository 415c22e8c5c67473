"""A Worker that opens the ledger object to a test, on the test's clock.

POST /<object>/<method>?now_us=N with the method's text; the answer is its text.
"""

import js
from promptward_worker.ledger_object import BudgetLedgerObject as RealLedgerObject
from workers import Response, WorkerEntrypoint


class BudgetLedgerObject(RealLedgerObject):
    def now_us(self):
        return self._stepped_us

    async def call(self, method, now_us, text):
        self._stepped_us = int(now_us)
        return await getattr(self, method)(text)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = js.URL.new(request.url)
        _, name, method = url.pathname.split("/")
        now_us = url.searchParams.get("now_us")
        stub = self.env.LEDGER.getByName(name)
        return Response(await stub.call(method, now_us, await request.text()))
