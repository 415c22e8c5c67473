"""The least an ext_authz service in Python can do: grpc.aio on uvloop that says yes.

python noop_authz.py ADDRESS
"""

from __future__ import annotations

import sys

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from promptward_envoy.descriptors import AUTHORIZATION_SERVICE, CheckRequest, CheckResponse


async def check(_request: object, _context: object) -> object:
    """Allow."""
    response = CheckResponse()
    response.ok_response.SetInParent()
    return response


async def main(address: str) -> None:
    """Serve for ever."""
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        check, CheckRequest.FromString, CheckResponse.SerializeToString
    )
    handler = grpc.method_handlers_generic_handler(AUTHORIZATION_SERVICE, {"Check": method})
    server.add_generic_rpc_handlers((handler,))
    checks = health.aio.HealthServicer()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    server.add_insecure_port(address)
    await server.start()
    print("serving", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
