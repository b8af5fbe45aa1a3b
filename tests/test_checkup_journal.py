"""What of the journal can be given away."""

import pytest

from ambientd.checkup.journal import given_away, lines, shown, templates


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            "ambientd.daemon: engine ready model=base-q8_0 lanes=2",
            "ambientd.daemon: engine ready model=base-q8_0 lanes=2",
        ),
        ("2026-11-22T21:59:12.470Z INFO ambientd.daemon: stopped", "ambientd.daemon: stopped"),
        (
            "ambientd.session.registry: session opened session=maria live=1",
            "ambientd.session.registry: session opened live=1",
        ),
        ("ambientd.session.registry: session opened live=maria", "ambientd.session.registry: session opened"),
        ('ambientd.daemon: cannot run error="maria 12 x=5"', None),
        ("ambientd: cannot run error=X model=a lanes=5", "ambientd: cannot run model=a lanes=5"),
        ("ambientd.daemon: maria is here", None),
        ("other: engine ready", None),
        ("maria", None),
    ],
)
def test_a_line_is_put_together_from_what_is_allowed(message, kept):
    if kept is None:
        found = shown({"MESSAGE": message})
        assert found is None or "maria" not in found
        assert "x=5" not in (found or "")
    else:
        assert shown({"MESSAGE": message}) == kept


def test_a_message_with_arguments_is_shown_without_them():
    (template,) = [each for each in templates() if each.startswith("the database %s is damaged")]
    said = template.replace("%s", "/home/maria/x", 1).replace("%s", "maria").replace("%s", "maria")
    assert shown({"MESSAGE": f"ambientd.store.soundness: {said}"}) == f"ambientd.store.soundness: {template}"


def test_only_systemd_itself_speaks_for_systemd():
    said = {"SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "Stopped ambientd.service."}
    assert shown({**said, "_PID": "1"}) == "systemd: Stopped ambientd.service."
    assert shown({**said, "_PID": "4711"}) is None


def test_what_is_withheld_is_counted():
    assert list(given_away([{"MESSAGE": "maria"}, {"MESSAGE": [1, 2]}])) == ["2 other lines are withheld."]


def test_without_a_journal_it_says_why(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert lines() == ["There is no journalctl on this machine."]
