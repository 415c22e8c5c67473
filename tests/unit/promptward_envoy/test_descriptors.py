"""The packaged descriptors are those of the installed Envoy, and stay private."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from promptward_envoy import descriptors
from promptward_envoy.envoy_binary import find_envoy
from promptward_envoy.extract_descriptors import collect_from, find_file, main


def test_packaged_set_is_complete_and_in_order() -> None:
    seen: set[str] = set()
    for file in descriptors.read_descriptor_set().file:
        assert set(file.dependency) <= seen, file.name
        seen.add(file.name)
    assert len(seen) == 27


def test_messages_come_from_a_private_pool() -> None:
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("envoy.service.auth.v3.CheckRequest")
    assert not any(name.split(".")[0] in ("envoy", "validate", "xds") for name in sys.modules)


def test_field_that_xds_protos_has_under_another_number() -> None:
    fields = descriptors.ProcessingResponse.DESCRIPTOR.fields_by_name
    assert fields["request_drain"].number == 12


def test_unknown_message_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        descriptors.message_class("envoy.no.Such")


def test_file_that_is_not_in_a_binary_is_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        find_file(b"\x00" * 100, "envoy/no/such.proto")
    broken = b"\n\x03a/b\x12\xff\xff\xff"
    with pytest.raises((LookupError, IndexError)):
        find_file(broken, "a/b")


@pytest.fixture(scope="module")
def envoy() -> Path:
    found = find_envoy(os.environ, Path(__file__).parent)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Envoy: make install")
        pytest.skip("no Envoy: make install")
    return found


@pytest.mark.envoy
def test_packaged_set_is_that_of_the_installed_envoy(envoy, tmp_path) -> None:
    """Fails after an upgrade that changed a message: run extract_descriptors."""
    installed = {f.name: f for f in collect_from(envoy).file}
    packaged = {f.name: f for f in descriptors.read_descriptor_set().file}
    # protobuf's own files come from the installed protobuf, not from Envoy
    own = {n for n in packaged if not n.startswith("google/protobuf/")}
    assert {n for n in installed if not n.startswith("google/protobuf/")} == own
    for name in own:
        assert installed[name] == packaged[name], name


@pytest.mark.envoy
def test_regenerating_writes_a_set_that_loads(envoy, tmp_path, capsys) -> None:
    out = tmp_path / "out.binpb"
    assert main([str(envoy), str(out)]) == 0
    assert out.stat().st_size > 40_000
    assert "27 files" in capsys.readouterr().out


def test_regenerating_explains_itself(capsys) -> None:
    assert main([]) == 2
    assert "PATH_TO_ENVOY" in capsys.readouterr().err
