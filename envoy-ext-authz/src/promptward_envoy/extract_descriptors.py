"""Regenerate `data/envoy.binpb` from an Envoy binary.

    python -m promptward_envoy.extract_descriptors PATH_TO_ENVOY OUT.binpb

Envoy links every FileDescriptorProto it uses into its binary, serialised. This finds them by their
`name` field, follows their imports, and writes one FileDescriptorSet, dependencies first. Field
numbers are those of `google/protobuf/descriptor.proto`. A test holds the packaged file against the
installed Envoy, so an upgrade that changes a message is seen.
"""

from __future__ import annotations

import importlib
import mmap
import sys
from pathlib import Path
from typing import Protocol

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

ROOTS = (
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/ext_proc/v3/external_processor.proto",
)
_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15})
_ONCE = frozenset({1, 2, 12})  # name, package, syntax: a second one starts the next file
_MAX_FIELD_BYTES = 1 << 20  # a single field of a descriptor is far smaller


class Binary(Protocol):
    """What is needed of the file: bytes or a memory map."""

    def __getitem__(self, at: int, /) -> int: ...
    def __len__(self) -> int: ...
    def find(self, sub: bytes, start: int = ..., /) -> int: ...


def _varint(data: Binary, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7


def _end_of_message(data: Binary, start: int) -> int:
    """Walk top-level fields until one cannot belong to the same FileDescriptorProto."""
    at = end = start
    seen: set[int] = set()
    while at < len(data):
        tag, after = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if number not in _FIELDS or wire_type not in (0, 2) or (number in _ONCE and number in seen):
            break
        seen.add(number)
        size, after = _varint(data, after)
        if wire_type == 2:
            if size > _MAX_FIELD_BYTES:
                break
            after += size
        at = end = after
    return end


def find_file(binary: Binary, name: str) -> descriptor_pb2.FileDescriptorProto:
    """The descriptor of the .proto file called `name`.

    Raises:
        LookupError: it is not in this binary.
    """
    needle = b"\n" + bytes([len(name)]) + name.encode() + b"\x12"
    at = binary.find(needle)
    while at != -1:
        end = _end_of_message(binary, at)
        try:
            return descriptor_pb2.FileDescriptorProto.FromString(bytes(binary[at:end]))  # type: ignore[index]
        except DecodeError:
            at = binary.find(needle, at + 1)
    raise LookupError(f"{name} is not in this binary")


def collect(binary: Binary, roots: tuple[str, ...] = ROOTS) -> descriptor_pb2.FileDescriptorSet:
    """`roots` and everything they import; protobuf's own files come from the installed protobuf."""
    done: set[str] = set()
    found = descriptor_pb2.FileDescriptorSet()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        if name.startswith("google/protobuf/"):
            module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
            proto = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(proto)
        else:
            proto = find_file(binary, name)
        for dependency in proto.dependency:
            visit(dependency)
        found.file.append(proto)

    for root in roots:
        visit(root)
    return found


def collect_from(path: Path) -> descriptor_pb2.FileDescriptorSet:
    """`collect` over the Envoy binary at `path`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        return collect(binary)


def main(argv: list[str]) -> int:
    """Command line: PATH_TO_ENVOY OUT.binpb."""
    if len(argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    found = collect_from(Path(argv[0]))
    Path(argv[1]).write_bytes(found.SerializeToString())
    sys.stdout.write(f"{len(found.file)} files, {found.ByteSize()} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
