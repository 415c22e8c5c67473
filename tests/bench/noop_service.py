"""The least an ext_authz and ext_proc service in Python can do: grpc.aio on uvloop that says yes.

python noop_service.py ADDRESS

ext_proc answers the messages that ours answers, in the same order: it waits for the whole response
and sends it on. It is written as grpc's documentation shows it.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from promptward_envoy.codec_ext_proc import continue_request_headers, response_chunk
from promptward_envoy.descriptors import (
    AUTHORIZATION_SERVICE,
    EXTERNAL_PROCESSOR_SERVICE,
    CheckRequest,
    CheckResponse,
    ProcessingRequest,
    ProcessingResponse,
)


async def check(_request: object, _context: object) -> object:
    """Allow."""
    response = CheckResponse()
    response.ok_response.SetInParent()
    return response


async def process(_messages: object, context: Any) -> None:
    """Send everything on."""
    held = b""
    while (message := await context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
        kind = message.WhichOneof("request")
        if kind == "request_headers":
            await context.write(continue_request_headers())
        elif kind == "request_body":
            await context.write(_continue("request_body"))
        elif kind == "response_body":
            held += message.response_body.body
            if message.response_body.end_of_stream:
                await context.write(_continue("response_headers"))
                await context.write(response_chunk(held, end_of_stream=True))


def _continue(kind: str) -> Any:
    response = ProcessingResponse()
    getattr(response, kind).response.SetInParent()
    return response


async def main(address: str) -> None:
    """Serve for ever."""
    server = grpc.aio.server()
    unary = grpc.unary_unary_rpc_method_handler(
        check, CheckRequest.FromString, CheckResponse.SerializeToString
    )
    stream = grpc.stream_stream_rpc_method_handler(
        process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(AUTHORIZATION_SERVICE, {"Check": unary}),
            grpc.method_handlers_generic_handler(EXTERNAL_PROCESSOR_SERVICE, {"Process": stream}),
        )
    )
    checks = health.aio.HealthServicer()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    server.add_insecure_port(address)
    await server.start()
    print("serving", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
