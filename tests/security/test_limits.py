"""Rates, bans and their end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.network import Rate
from ambientd.errors import ClientError
from ambientd.security.limits import MOST_BANS, Limits, network, rates


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limits(clock):
    return Limits(rates(streams=10, requests=100), ban=900, clock=clock)


def refused(limits: Limits, rate: Rate, who: str) -> ClientError | None:
    try:
        limits.count(rate, who)
    except ClientError as error:
        return error
    return None


def test_an_address_has_ten_streams_a_minute_as_the_seed_promises(limits):
    assert [refused(limits, Rate.STREAM, "192.168.1.5") for _ in range(10)] == [None] * 10
    error = refused(limits, Rate.STREAM, "192.168.1.5")
    assert error.code == "too_many_requests"
    assert error.close_code == 1008
    assert 1 <= error.retry_after <= 60


def test_one_address_does_not_use_up_anothers(limits):
    for _ in range(20):
        refused(limits, Rate.STREAM, "192.168.1.5")
    assert refused(limits, Rate.STREAM, "192.168.1.6") is None


def test_coming_back_to_a_session_is_counted_apart(limits):
    for _ in range(20):
        refused(limits, Rate.STREAM, "192.168.1.5")
    assert [refused(limits, Rate.RETURN, "192.168.1.5") for _ in range(30)] == [None] * 30


def test_a_second_guess_at_once_is_one_too_many(limits):
    limits.check(Rate.LOGIN, "192.168.1.5")
    limits.failed_login("192.168.1.5")
    with pytest.raises(ClientError):
        limits.check(Rate.LOGIN, "192.168.1.5")


def test_who_guesses_all_hour_is_shut_out_and_it_is_told(limits):
    told = []
    limits.observe = lambda *what: told.append(what)
    for _ in range(20):
        limits.failed_login("192.168.1.5")
    assert limits.banned("192.168.1.5").reason == Rate.LOGIN
    assert told == [("ban", "192.168.1.5", "log-ins")]


def test_a_ban_ends_by_itself(limits, clock):
    limits.ban("192.168.1.5", "connections")
    clock.now += 899
    assert limits.banned("192.168.1.5")
    clock.now += 2
    assert limits.banned("192.168.1.5") is None
    assert limits.bans == []


def test_a_freed_address_begins_anew(limits):
    for _ in range(20):
        limits.failed_login("192.168.1.5")
    assert limits.free("192.168.1.5")
    assert limits.banned("192.168.1.5") is None
    limits.check(Rate.LOGIN, "192.168.1.5")
    assert not limits.free("192.168.1.5")


def test_who_does_not_heed_refusals_is_shut_out(limits):
    for _ in range(100 + 60):
        refused(limits, Rate.REQUEST, "192.168.1.5")
    assert limits.banned("192.168.1.5") is None
    for _ in range(60):
        refused(limits, Rate.REQUEST, "192.168.1.5")
    assert limits.banned("192.168.1.5").reason == Rate.REFUSAL


def test_a_machine_does_not_escape_into_its_own_ipv6_network(limits):
    limits.ban("2001:db8:1:2:aaaa::1", "connections")
    assert limits.banned("2001:db8:1:2:bbbb::9")
    assert limits.banned("2001:db8:1:3::1") is None


def test_an_ipv4_address_is_the_same_in_ipv6s_clothes(limits):
    limits.ban("::ffff:192.168.1.5", "connections")
    assert limits.banned("192.168.1.5")


def test_a_clock_that_jumps_does_not_make_a_minute_last_a_year(limits, monkeypatch):
    for _ in range(10):
        limits.count(Rate.STREAM, "192.168.1.5")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 365 * 86_400)
    assert refused(limits, Rate.STREAM, "192.168.1.5") is None


def test_bans_do_not_fill_the_memory(limits):
    for number in range(MOST_BANS + 10):
        limits.ban(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "connections")
    assert len(limits.bans) == MOST_BANS


@given(st.ip_addresses())
def test_every_address_stands_for_one_network_that_it_is_in(address):
    once = network(str(address))
    assert network(once.partition("/")[0]) == once


def test_what_was_refused_is_counted_by_its_rate(limits):
    for _ in range(12):
        refused(limits, Rate.STREAM, "192.168.1.5")
    assert limits.refused[Rate.STREAM] == 2
