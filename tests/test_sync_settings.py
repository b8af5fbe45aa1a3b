"""The settings of the sync: what would send words to the wrong place, or nowhere, is refused at the start."""

from __future__ import annotations

from datetime import UTC, timedelta
from datetime import time as daytime
from pathlib import Path

import pytest

from ambientd.config import load
from ambientd.config.syncing import PROFILES, hours, zone
from ambientd.errors import ConfigError
from ambientd.sync.profiles import names
from ambientd.terms import centre

HOME = {"HOME": "/home/box", "AMBIENTD_CONFIG": "/dev/null"}


def faults(**given: str) -> list[str]:
    variables = {f"AMBIENTD_SYNC__{key.upper()}": value for key, value in given.items()}
    with pytest.raises(ConfigError) as caught:
        load(environ=HOME | variables)
    return caught.value.faults


def test_every_profile_there_is_can_be_set() -> None:
    assert names() == PROFILES == ["ambientai", "ingest"]


@pytest.mark.parametrize(
    "url",
    [
        "http://centre.clinic.example",
        "ftp://centre.clinic.example",
        "centre.clinic.example",
        "https://",
        "https://box:secret@centre.clinic.example",
        "https://centre.clinic.example/?access_token=x",
        "https://centre.clinic.example:99999",
        "http://127.0.0.1.example",
        "https://centre clinic",
    ],
)
def test_words_go_encrypted_or_nowhere(url: str) -> None:
    assert faults(profile="ingest", url=url)[0].startswith("sync.url: must")


@pytest.mark.parametrize(
    "url",
    ["https://centre.clinic.example/qa", "http://127.0.0.1:8000", "http://localhost", "http://[::1]:80"],
)
def test_plain_http_is_for_this_machine(url: str) -> None:
    variables = {"AMBIENTD_SYNC__PROFILE": "ingest", "AMBIENTD_SYNC__URL": url}
    assert load(environ=HOME | variables).sync.url == url


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("profile", "ambient"),
        ("schedule", "hourly"),
        ("schedule", "interval soon"),
        ("schedule", "* * * *"),
        ("window", "20-06"),
        ("window", "20:00-24:00"),
        ("window", "06:00-06:00"),
        ("time_zone", "Nowhere"),
        ("secret", "../password"),
        ("ca_file", "ca.pem"),
        ("proxy", "http://user:password@proxy.example"),
        ("proxy", "socks5://proxy.example"),
    ],
)
def test_what_means_nothing_is_refused(key: str, value: str) -> None:
    assert faults(**{key: value})[0].startswith(f"sync.{key}: must")


def test_what_belongs_together_is_asked_for() -> None:
    assert faults(profile="ambientai")[0].startswith("sync.url: must be set when sync.profile is")
    assert faults(email="box@clinic.example")[0].startswith("sync.secret: must name the password")
    assert faults(retry_first="60", retry_most="30")[0].startswith("sync.retry_first: must not be longer")


def test_the_sync_is_told_what_is_set() -> None:
    variables = {
        "PROFILE": "ambientai",
        "URL": "https://centre.clinic.example",
        "SCHEDULE": "*/10 7-19 * * *",
        "WINDOW": "20:00-06:00",
        "CA_FILE": "/etc/ca.pem",
        "SETTLE": "60",
        "ANSWERS_DAYS": "0.5",
    }
    settings = load(environ=HOME | {f"AMBIENTD_SYNC__{key}": value for key, value in variables.items()})
    route = centre(settings.sync, "box-7")

    assert route is not None
    assert (route.profile, route.url, route.box_id) == ("ambientai", "https://centre.clinic.example", "box-7")
    assert (route.window.opens, route.window.closes) == (daytime(20), daytime(6))
    assert (route.ca_file, route.client_certificate) == (Path("/etc/ca.pem"), None)
    assert (route.settle, route.answers_for) == (timedelta(minutes=1), timedelta(hours=12))
    assert route.zone is UTC


def test_without_a_profile_there_is_no_centre() -> None:
    assert centre(load(environ=HOME).sync, "box-7") is None


def test_hours_and_zones() -> None:
    assert hours("") == (daytime(0), daytime(0))
    assert zone("Europe/Berlin").utcoffset(None) is None
    assert zone("UTC") is UTC
