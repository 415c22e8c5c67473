from promptward_kong.tickets import TicketStore


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_ticket_is_kept_until_it_is_taken():
    store = TicketStore(Clock())
    token = store.put(b"t")
    assert store.get(token) == b"t"
    assert store.pop(token) == b"t"
    assert store.pop(token) is None
    assert len(store) == 0


def test_tokens_cannot_be_guessed_from_others():
    store = TicketStore(Clock())
    tokens = {store.put(b"") for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {32}


def test_old_tickets_are_gone():
    clock = Clock()
    store = TicketStore(clock, ttl_s=10.0)
    token = store.put(b"t")
    clock.now_s = 10.0
    assert store.get(token) is None
    store.expire()
    assert len(store) == 0


def test_the_store_is_bounded_in_number_and_bytes():
    store = TicketStore(Clock(), max_tickets=3, max_bytes=100)
    first = store.put(b"x" * 10)
    others = [store.put(b"x" * 10) for _ in range(3)]
    assert store.get(first) is None
    assert all(store.get(token) for token in others)
    large = store.put(b"x" * 95)
    assert store.get(large) is not None
    assert len(store) == 1
    assert store.get(store.put(b"x" * 101)) is None
    assert len(store) == 0
