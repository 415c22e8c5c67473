"""Exit 0 when a gRPC server says SERVING: the HEALTHCHECK of the Envoy service's image.

    python serving.py 127.0.0.1:9910

Not called grpc_health: a script's folder comes first on its import path.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_TIMEOUT_S = 2.0


def main(address: str) -> int:
    """Ask `address` (host:port or unix:/path); the exit code, with the reason on stderr."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            sys.stderr.write(f"{address}: {error.code().name}\n")
            return 1
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return 0
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    sys.stderr.write(f"{address}: {status}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
