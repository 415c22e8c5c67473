import os
import socket
import stat

import pytest

from promptward_kong.listener import UnixListener, watch_parent
from promptward_kong.loop import Loop


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def test_the_socket_appears_with_its_mode_and_answers(loop, tmp_path):
    path = tmp_path / "a.sock"
    listener = UnixListener(path, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    accepted = []
    listener.attach(loop, accepted.append)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        loop.turn()
    assert len(accepted) == 1
    accepted[0].close()
    listener.detach(loop)
    assert list(tmp_path.iterdir()) == []


def test_a_stale_file_is_replaced(loop, tmp_path):
    path = tmp_path / "a.sock"
    path.write_text("left over")
    listener = UnixListener(path)
    listener.attach(loop, lambda sock: None)
    assert stat.S_ISSOCK(path.stat().st_mode)
    listener.detach(loop)


def test_a_newer_servers_socket_is_left_alone(loop, tmp_path):
    path = tmp_path / "a.sock"
    old, new = UnixListener(path), UnixListener(path)
    for listener in (old, new):
        listener.attach(loop, lambda sock: None)
    old.detach(loop)
    assert path.exists()
    new.detach(loop)
    assert not path.exists()


@pytest.mark.parametrize("first", [1, 4321])
def test_the_parent_is_gone_when_it_changes(monkeypatch, first):
    """Parent 1 is normal in a container; only a change means that Kong went."""
    now_s = [0.0]
    loop = Loop(lambda: now_s[0])
    parent = [first]
    monkeypatch.setattr(os, "getppid", lambda: parent[0])
    gone = []
    watch_parent(loop, lambda: gone.append(True))
    now_s[0] = 10.0
    loop.turn()
    assert gone == []
    parent[0] = 1 if first != 1 else 7
    now_s[0] = 20.0
    loop.turn()
    assert gone == [True]
    loop.close()
