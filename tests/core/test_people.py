"""Rules for names, passwords, PINs and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.people import (
    check_name,
    check_password,
    check_pin,
    check_role,
    expired,
    folded,
    idle_for,
)
from ambientd.errors import ClientError

times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.text())
def test_a_name_is_compared_the_same_however_often_it_is_folded(name):
    assert folded(folded(name)) == folded(name)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_case_and_width_make_no_other_name(name):
    assert folded(name.upper().lower()) == folded(folded(name).upper().lower())


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 65, None, 7, "a\u200bb", "a\u202eb"])
def test_what_nobody_can_read_is_no_name(name):
    with pytest.raises(ClientError):
        check_name(name)


@given(st.text(min_size=4, max_size=300))
def test_a_password_that_is_refused_is_not_quoted(password):
    told = ""
    try:
        assert check_password(password, "anna") == password
        assert 12 <= len(password) <= 256
    except ClientError as error:
        told = str(error)
    assert password not in told


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("aaaaaaaaaaaaaaaa", "Anna"),
        ("annaannaannaanna", "Anna"),
        ("Anna-Schmidt", "anna-schmidt"),
        ("abababababab", "Anna"),
        ("elevenchars", "Anna"),
        (None, "Anna"),
    ],
)
def test_passwords_among_the_first_to_be_guessed(password, name):
    with pytest.raises(ClientError):
        check_password(password, name)


@pytest.mark.parametrize("pin", ["123", "1234", "9876", "0000", "12a4", "1234567890123", "٣٤٥٦", "", None])
def test_pins_among_the_first_to_be_guessed(pin):
    with pytest.raises(ClientError):
        check_pin(pin)


@given(st.from_regex(r"[0-9]{4,12}", fullmatch=True))
def test_a_pin_that_is_taken_is_digits_and_more_than_one_of_them(pin):
    try:
        assert len(set(check_pin(pin))) > 1
    except ClientError:
        assert len(set(pin)) == 1 or pin in "0123456789" or pin in "9876543210"


@pytest.mark.parametrize("role", ["local", "emergency", "root", "", None, 3])
def test_no_role_is_given_that_only_the_box_has(role):
    with pytest.raises(ClientError):
        check_role(role)


@given(seen=times, now=times)
def test_time_that_lies_ahead_counts_as_long_ago(seen, now):
    assert idle_for(seen, now) >= timedelta(0)
    if seen > now:
        assert idle_for(seen, now) > timedelta(days=365_000)


@given(end=times, now=times, later=st.timedeltas(timedelta(0), timedelta(days=1000)))
def test_what_has_ended_stays_ended(end, now, later):
    if expired(end, now):
        assert expired(end, now + later)
