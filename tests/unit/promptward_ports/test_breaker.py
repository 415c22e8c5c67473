"""The breaker's states, told with explicit times."""

from __future__ import annotations

from promptward_ports.breaker import CircuitBreaker


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker(failures=3, open_s=1.0)
    for _ in range(3):
        breaker.failed(10.0)
    return breaker


def test_it_stays_closed_below_its_number_of_failures_in_a_row() -> None:
    breaker = CircuitBreaker(failures=3, open_s=1.0)
    for outcome in (breaker.failed, breaker.failed):
        outcome(10.0)
    assert breaker.allows(10.0)
    breaker.succeeded()
    breaker.failed(10.0)
    breaker.failed(10.0)
    assert not breaker.is_open


def test_it_opens_and_refuses_until_the_pause_is_over() -> None:
    breaker = opened()
    assert breaker.is_open
    assert not breaker.allows(10.999)
    assert breaker.allows(11.0)


def test_half_open_lets_one_probe_through_per_pause() -> None:
    breaker = opened()
    assert breaker.allows(11.0)
    assert not breaker.allows(11.5)
    assert breaker.allows(12.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.allows(11.0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows(11.0)


def test_a_probe_that_fails_keeps_it_open_for_another_pause() -> None:
    breaker = opened()
    assert breaker.allows(11.0)
    breaker.failed(11.2)
    assert not breaker.allows(12.1)
    assert breaker.allows(12.2)
