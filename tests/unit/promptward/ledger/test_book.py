"""What the book writes to a shelf, and when."""

from __future__ import annotations

import pytest

from promptward.errors import PortError
from promptward.ledger import Book, Bucket, Reservation
from promptward.ledger.book import SWEEP_AT_MOST
from promptward.ports import ReserveRequest, SettleRequest, Window
from promptward.testing.ledgers import budget_line
from promptward_ports.ledgers.memory import MemoryShelf

NOW = 1_750_000_000_000_000
SECOND = 1_000_000


class RecordingShelf(MemoryShelf):
    """Counts writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        self.writes.append(f"bucket {bucket.budget}")
        super().save_bucket(bucket, forget_us)

    def save_reservation(self, reservation: Reservation) -> None:
        self.writes.append(f"reservation {reservation.state}")
        super().save_reservation(reservation)


def request(
    request_id: str, *, limit: int = 100, ttl_s: int = 60, charge_now: bool = False
) -> ReserveRequest:
    lines = (budget_line("a", limit=limit), budget_line("b", limit=limit))
    return ReserveRequest(request_id, "t", lines, ttl_s, charge_now)


def test_a_grant_writes_each_bucket_and_the_reservation_once() -> None:
    shelf = RecordingShelf()
    Book().reserve(shelf, request("r"), NOW)
    assert shelf.writes == ["bucket a", "bucket b", "reservation open"]


def test_charging_at_once_writes_no_more_than_that() -> None:
    shelf = RecordingShelf()
    Book().reserve(shelf, request("r", charge_now=True), NOW)
    assert shelf.writes == ["bucket a", "bucket b", "reservation charged"]
    assert [slot.open for b in shelf.buckets.values() for slot in b.slots] == [0, 0]


def test_what_was_charged_at_once_is_kept_for_the_retention_and_forgotten() -> None:
    shelf, book = MemoryShelf(), Book(retention_s=10)
    book.reserve(shelf, request("r", ttl_s=3600, charge_now=True), NOW)
    (reservation,) = shelf.reservations.values()
    assert (reservation.state, reservation.due_us) == ("charged", NOW + 10 * SECOND)
    assert book.sweep(shelf, NOW + 10 * SECOND) == 1
    assert shelf.reservations == {}


def test_a_refusal_and_a_repetition_write_nothing() -> None:
    shelf, book = RecordingShelf(), Book()
    book.reserve(shelf, request("refused", limit=1), NOW)
    assert shelf.writes == []
    book.reserve(shelf, request("r"), NOW)
    shelf.writes.clear()
    book.reserve(shelf, request("r"), NOW)
    book.settle(shelf, SettleRequest("ghost", "t", {}), NOW)
    assert shelf.writes == []


def test_a_sweep_takes_a_bounded_number_of_rows_the_longest_due_first() -> None:
    shelf, book = MemoryShelf(), Book()
    for number in range(SWEEP_AT_MOST + 10):
        book.reserve(shelf, request(f"r{number}", limit=10**6), NOW + number)
    later = NOW + 3600 * SECOND
    assert book.sweep(shelf, later) == SWEEP_AT_MOST
    states = [reservation.state for reservation in shelf.reservations.values()]
    assert states == ["expired"] * SWEEP_AT_MOST + ["open"] * 10
    assert book.sweep(shelf, later) == 10


def test_everything_is_forgotten_in_the_end() -> None:
    shelf, book = MemoryShelf(), Book(retention_s=10)
    for number in range(20):
        book.reserve(shelf, request(f"r{number}", limit=10**6), NOW)
    for hour in range(1, 5):
        book.sweep(shelf, NOW + hour * 3600 * SECOND)
    assert shelf.reservations == {}
    assert shelf.buckets == {}


def test_a_bucket_outlives_the_reservations_that_may_still_be_settled() -> None:
    shelf, book = MemoryShelf(), Book(retention_s=900)
    lines = (budget_line("a", window=Window("fixed", 1)),)
    book.reserve(shelf, ReserveRequest("r", "t", lines, 600), NOW)
    book.reserve(shelf, ReserveRequest("other", "t2", lines, 1), NOW)
    book.sweep(shelf, NOW + 599 * SECOND)
    assert len(book.settle(shelf, SettleRequest("r", "t", {"a": 1}), NOW + 599 * SECOND)) == 1


def test_a_wrong_clock_is_a_port_error() -> None:
    lines = (budget_line("a", window=Window("fixed", 2 * 86_400)),)
    with pytest.raises(PortError):
        Book().reserve(MemoryShelf(), ReserveRequest("r", "t", lines, 1), 2**60)
