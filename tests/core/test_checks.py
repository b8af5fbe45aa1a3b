"""Findings, their order, and the thresholds."""

from datetime import UTC, datetime, timedelta

import pytest

from ambientd.core import judging
from ambientd.core.checks import Finding, Severity, exit_status, merged, ordered, worst
from ambientd.core.microphone import Reason, State, Status

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def finding(name: str, severity: Severity = Severity.OK) -> Finding:
    return Finding(name, name, severity)


def test_the_worst_comes_first_and_equals_stay_as_they_came():
    found = [
        finding("a"),
        finding("b", Severity.WARNING),
        finding("c", Severity.CRITICAL),
        finding("d", Severity.WARNING),
    ]
    assert [each.id for each in ordered(found)] == ["c", "b", "d", "a"]
    assert worst(found) is Severity.CRITICAL
    assert worst([]) is Severity.OK


def test_of_two_findings_about_one_thing_the_nearer_one_counts():
    daemon, outside = finding("store.disk"), finding("store.disk", Severity.CRITICAL)
    assert merged([daemon], [outside, finding("x")]) == [daemon, finding("x")]


@pytest.mark.parametrize(
    ("severity", "status"),
    [(Severity.OK, 0), (Severity.NOTE, 0), (Severity.WARNING, 1), (Severity.CRITICAL, 2)],
)
def test_the_exit_status_is_that_of_a_monitoring_plugin(severity, status):
    assert exit_status(severity) == status


@pytest.mark.parametrize(
    ("free", "severity"),
    [(99, Severity.CRITICAL), (100, Severity.WARNING), (399, Severity.WARNING), (400, Severity.OK)],
)
def test_the_disk_is_told_before_sessions_are_refused(free, severity):
    assert judging.disk(free, 100).severity is severity


def test_a_disk_without_a_mark_is_critical_only_when_full():
    assert judging.disk(0, 0).severity is Severity.CRITICAL
    assert judging.disk(1, 0).severity is Severity.OK


@pytest.mark.parametrize(
    ("days", "severity"),
    [(15, Severity.OK), (14, Severity.WARNING), (0, Severity.CRITICAL), (-1, Severity.CRITICAL)],
)
def test_a_certificate_is_told_while_there_is_time(days, severity):
    assert judging.certificate("box.local", NOW + timedelta(days=days), NOW).severity is severity


def test_backups_matter_once_there_is_something_to_lose():
    assert judging.backups(None, NOW, 0).severity is Severity.OK
    assert judging.backups(None, NOW, 1).severity is Severity.WARNING
    assert judging.backups(NOW - timedelta(days=8), NOW, 1).severity is Severity.OK
    assert judging.backups(NOW - timedelta(days=9), NOW, 1).severity is Severity.WARNING


def test_parked_rows_want_a_person_and_waiting_ones_only_after_a_day():
    assert judging.undelivered(1, 0, None, None).severity is Severity.WARNING
    assert judging.undelivered(0, 5, timedelta(hours=23), "no answer").severity is Severity.OK
    late = judging.undelivered(0, 5, timedelta(days=2), "no answer")
    assert late.severity is Severity.WARNING
    assert "no answer" in late.reason


def test_whatever_is_wrong_says_what_to_do():
    wrong = [
        judging.disk(0, 100),
        judging.damaged(["ambientd.db.corrupt.x"]),
        judging.clock("behind"),
        judging.chain(3, 4, "the row is missing"),
        judging.owed(2),
        judging.undelivered(1, 0, None, None),
        judging.backups(None, NOW, 3),
        judging.certificate("box", NOW, NOW),
        judging.lateness(9.0, 0.9, 0.0),
    ]
    for each in wrong:
        assert each.severity is not Severity.OK
        assert each.reason
        assert each.remedy
        assert each.command


@pytest.mark.parametrize(
    ("known", "wanted", "severity"),
    [
        ({}, False, Severity.NOTE),
        ({}, True, Severity.WARNING),
        ({"named": True}, False, Severity.WARNING),
        ({"captured": 1}, False, Severity.WARNING),
    ],
)
def test_a_box_without_a_microphone_is_meant_so_only_if_it_never_had_one_and_nobody_records(
    known, wanted, severity
):
    state = State(Status.UNAVAILABLE, Reason.NO_DEVICE, "Plug it in.", **known)
    assert judging.microphone(state, wanted=wanted).severity is severity
    assert judging.meant_silent(state, wanted=wanted) is (severity is Severity.NOTE)


def test_a_microphone_that_is_switched_off_in_the_settings_is_meant_so():
    state = State(Status.UNAVAILABLE, Reason.DISABLED, named=True, captured=1)
    assert judging.microphone(state, wanted=True).severity is Severity.OK
    assert judging.meant_silent(state, wanted=True)
