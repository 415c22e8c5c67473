import pytest

from promptward_kong.tickets import TicketStore


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def given_up():
    return []


@pytest.fixture
def store_with(given_up):
    def make(clock=None, **bounds):
        return TicketStore(clock or Clock(), lambda *ticket: given_up.append(ticket), **bounds)

    return make


def test_a_ticket_is_kept_until_it_is_taken(store_with, given_up):
    store = store_with()
    token = store.put("i", b"t")
    assert store.get(token) == b"t"
    assert store.pop(token) == b"t"
    assert store.pop(token) is None
    assert len(store) == 0
    assert given_up == []


def test_tokens_cannot_be_guessed_from_others(store_with):
    store = store_with()
    tokens = {store.put("i", b"") for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {32}


@pytest.mark.parametrize("token", ["", "00", "zz", "\u0660\u0660", "0" * 32])
def test_what_is_no_token_finds_nothing(store_with, token):
    store = store_with()
    store.put("i", b"t")
    assert store.get(token) is None
    assert store.pop(token) is None


def test_old_tickets_are_given_up(store_with, given_up):
    clock = Clock()
    store = store_with(clock, ttl_s=10.0)
    token = store.put("i", b"t")
    clock.now_s = 10.0
    assert store.get(token) is None
    assert store.pop(token) is None
    assert given_up == []
    store.expire()
    assert len(store) == 0
    assert given_up == [("i", b"t")]


def test_the_oldest_are_given_up_for_want_of_room(store_with, given_up):
    store = store_with(max_tickets=3, max_bytes=100)
    first = store.put("i", b"x" * 10)
    others = [store.put("j", b"x" * 10) for _ in range(3)]
    assert store.get(first) is None
    assert given_up == [("i", b"x" * 10)]
    assert all(store.get(token) for token in others)
    large = store.put("k", b"x" * 95)
    assert store.get(large) is not None
    assert len(store) == 1
    assert store.get(store.put("k", b"x" * 101)) is None
    assert len(store) == 0
    assert len(given_up) == 6


def test_bytes_of_taken_tickets_are_free_again(store_with, given_up):
    store = store_with(max_bytes=10)
    for _ in range(5):
        assert store.pop(store.put("i", b"x" * 10)) is not None
    assert given_up == []


def test_a_server_that_stops_gives_all_up(store_with, given_up):
    store = store_with()
    for number in range(3):
        store.put("i", bytes([number]))
    store.give_up()
    assert given_up == [("i", b"\0"), ("i", b"\1"), ("i", b"\2")]
    assert len(store) == 0
