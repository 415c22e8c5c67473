from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    """Guards one request."""

    async def fetch(self, request):
        return Response('{"error":{"code":"no_policy"}}', status=503)
