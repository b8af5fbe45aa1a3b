"""The settings of the sync with the central server."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, time, tzinfo
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from ambientd.config.kinds import Count, Seconds, Table, Unit
from ambientd.errors import OperatorError

PROFILES: Final = sorted(
    path.stem
    for path in (Path(__file__).parent.parent / "sync/profiles").glob("*.py")
    if path.stem != "__init__"
)
"""Found without importing them: ``--help`` needs neither aiohttp nor the store."""


def _profile(name: str) -> str:
    if name not in {"none", *PROFILES}:
        raise ValueError(f"must be none, {' or '.join(PROFILES)}")
    return name


def _url(url: str) -> str:
    if not url:
        return url
    parts = _split(url)
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise ValueError("must begin with https://; http:// is for this machine itself only")
    return url


def _proxy(url: str) -> str:
    if url and _split(url).scheme != "http":
        raise ValueError('must begin with http://, as in "http://proxy.clinic.example:3128"')
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url):
        raise ValueError('must be an address such as "https://centre.clinic.example"')
    if "@" in parts.netloc:
        raise ValueError("must not hold a name or password: secrets do not belong into this file")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(path: str) -> str:
    if path and (not path.startswith("/") or "\0" in path):
        raise ValueError('must be empty or an absolute path: it begins with "/"')
    return path


def _secret(name: str) -> str:
    if name.startswith("/"):
        return _path(name)
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("must be the name of a credential or an absolute path")
    return name


def _schedule(text: str) -> str:
    from ambientd.sync.schedule import trigger  # noqa: PLC0415 - APScheduler only where somebody has set one

    try:
        trigger(text, 0, UTC)
    except OperatorError:
        raise ValueError('must be "interval SECONDS" or the five fields of cron') from None
    return text


def _zone(name: str) -> str:
    zone(name)
    return name


def zone(name: str) -> tzinfo:
    """The time zone of that name.

    Raises:
        ValueError: there is none.
    """
    if name == "UTC":
        return UTC  # also where no zones are installed
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('must be a time zone such as "UTC" or "Europe/Berlin"') from error


def _email(name: str) -> str:
    if not name.isprintable() or " " in name:
        raise ValueError("must not hold spaces or control characters")
    return name


def _window(text: str) -> str:
    hours(text)
    return text


def hours(text: str) -> tuple[time, time]:
    """The two times of ``20:00-06:00``; empty is all day.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return time(0), time(0)
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if found is None or found.group(1, 2) == found.group(3, 4):
        raise ValueError('must be empty or two times such as "20:00-06:00"')
    opens, closes = (time(int(found[n]), int(found[n + 1])) for n in (1, 3))
    return opens, closes


class Sync(Table):
    """Deliveries to the central server; docs/sync.md says how to set it up."""

    profile: Annotated[str, AfterValidator(_profile)] = "none"
    """Kind of the central server: none, ambientai or ingest; none keeps everything here."""
    url: Annotated[str, AfterValidator(_url)] = ""
    """Address of the central server, such as "https://centre.clinic.example"; plain http only to this machine."""
    email: Annotated[str, AfterValidator(_email)] = Field(default="", max_length=254)
    """Name to log in with (ambientai); empty sends without logging in."""
    secret: Annotated[str, AfterValidator(_secret)] = ""
    """Where the password or token is: name of a systemd credential, or absolute path of a file of mode 0600."""
    questions_file: Annotated[str, AfterValidator(_path)] = ""
    """JSON file of the clinic's own questions, asked beside the central server's (ambientai)."""
    review: bool = False
    """Whether a transcript is sent only after somebody has read it on the room's page, or said so over REST."""
    schedule: Annotated[str, AfterValidator(_schedule)] = "interval 300"
    """When to look for work besides the end of each session: "interval SECONDS" or the five fields of cron."""
    jitter: Seconds = Field(default=60.0, ge=0, le=3_600)
    """Most that an alarm is late by chance, so that not all boxes call at once."""
    window: Annotated[str, AfterValidator(_window)] = ""
    """Hours in which the central server may be called, such as "20:00-06:00"; empty is all day."""
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Time zone of sync.window and of a cron schedule."""
    ca_file: Annotated[str, AfterValidator(_path)] = ""
    """PEM file of the authorities to trust; empty trusts those of the system."""
    client_certificate: Annotated[str, AfterValidator(_path)] = ""
    """PEM file of certificate and key that the box shows the central server; empty shows none."""
    proxy: Annotated[str, AfterValidator(_proxy)] = ""
    """HTTP proxy, such as "http://proxy.clinic.example:3128"; empty takes $https_proxy and $no_proxy."""
    connect_timeout: Seconds = Field(default=10.0, ge=0.05, le=120)
    """Longest time to reach the central server."""
    request_timeout: Seconds = Field(default=60.0, ge=0.1, le=600)
    """Longest time of one call, its answer included."""
    retry_first: Seconds = Field(default=5.0, ge=0.01, le=900)
    """Longest pause after a first failure; it doubles with each further one."""
    retry_most: Seconds = Field(default=900.0, ge=0.01, le=3_600)
    """Longest pause between two attempts; there is no last one."""
    settle: Seconds = Field(default=120.0, ge=0.1, le=3_600)
    """How old a call of unknown outcome must be before it is believed to be lost and repeated (ambientai)."""
    parking_limit: Count = Field(default=20, ge=1, le=10_000)
    """Answers 500 in a row after which a delivery is parked for a person."""
    answers_days: Annotated[float, Unit("d")] = Field(default=3.0, ge=0.001, le=365)
    """How long the central server is asked for the answers to a delivered conversation."""
