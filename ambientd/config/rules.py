"""What two settings must not be together, and what is allowed but deserves a second look."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ambientd.config.faults import quoted
from ambientd.config.tables import Settings

BYTES_PER_SAMPLE: Final = 2
"""Signed 16-bit PCM on the wire."""


LONGEST_SOCKET: Final = 107
"""Bytes.  Source: ``sun_path`` in unix(7), without the NUL behind it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A combination that must hold."""

    settings: tuple[str, ...]
    """``table.key`` of all that take part; the fault is reported at the first."""
    holds: Callable[[Settings], bool]
    reason: str


RULES: Final = (
    Rule(
        ("segmentation.overlap_duration", "segmentation.chunk_duration"),
        lambda s: s.segmentation.overlap_duration < s.segmentation.chunk_duration,
        "must be shorter than segmentation.chunk_duration",
    ),
    Rule(
        ("segmentation.chunk_duration", "segmentation.max_duration"),
        lambda s: s.segmentation.chunk_duration <= s.segmentation.max_duration,
        "must not be longer than segmentation.max_duration",
    ),
    Rule(
        ("segmentation.pause", "segmentation.patience"),
        lambda s: s.segmentation.pause <= s.segmentation.patience,
        "must not be longer than segmentation.patience",
    ),
    Rule(
        ("server.audio_buffer_size", "server.max_frame_bytes"),
        lambda s: s.server.audio_buffer_size <= s.server.max_frame_bytes,
        "must not exceed server.max_frame_bytes: clients are told to send frames of this size",
    ),
    Rule(
        ("server.audio_buffer_size", "audio.channels"),
        lambda s: s.server.audio_buffer_size % (BYTES_PER_SAMPLE * s.audio.channels) == 0,
        "must be a multiple of 2 bytes a sample and channel",
    ),
    Rule(
        ("audio.inbox_seconds", "server.max_frame_bytes", "audio.sample_rate", "audio.channels"),
        lambda s: (
            s.audio.inbox_seconds
            >= s.server.max_frame_bytes / (BYTES_PER_SAMPLE * s.audio.channels * s.audio.sample_rate)
        ),
        "must hold at least one frame of server.max_frame_bytes",
    ),
    Rule(
        ("engine.language", "engine.model"),
        lambda s: s.engine.language == "en" or not s.engine.model.endswith(".en"),
        'must be "en": models whose name ends in ".en" know English only',
    ),
    Rule(
        ("server.control_socket",),
        # A default that is too long is told by the daemon, which does without: the directory is right as it is.
        lambda s: (
            len(bytes(s.server.control_socket)) <= LONGEST_SOCKET
            or s.origin("server", "control_socket").startswith("default")
        ),
        f"must have at most {LONGEST_SOCKET} bytes, the system's limit for the path of a socket",
    ),
    Rule(
        ("lan.certificate", "lan.key"),
        lambda s: bool(s.lan.certificate) == bool(s.lan.key),
        "must be set together with lan.key",
    ),
    Rule(
        ("lan.address_connections", "lan.connections"),
        lambda s: s.lan.address_connections <= s.lan.connections,
        "must not exceed lan.connections",
    ),
    Rule(
        ("microphone.restart_first", "microphone.restart_most"),
        lambda s: s.microphone.restart_first <= s.microphone.restart_most,
        "must not be longer than microphone.restart_most",
    ),
    Rule(
        ("sync.url", "sync.profile"),
        lambda s: bool(s.sync.url) or s.sync.profile == "none",
        "must be set when sync.profile is",
    ),
    Rule(
        ("sync.secret", "sync.email"),
        lambda s: bool(s.sync.secret) or not s.sync.email,
        "must name the password of sync.email",
    ),
    Rule(
        ("sync.retry_first", "sync.retry_most"),
        lambda s: s.sync.retry_first <= s.sync.retry_most,
        "must not be longer than sync.retry_most",
    ),
)


def impossible(settings: Settings, faulty: set[str]) -> list[str]:
    """The rules that are broken, as faults; those about a ``faulty`` setting stay silent."""

    def shown(setting: str) -> str:
        table, key = setting.split(".")
        value = quoted(getattr(getattr(settings, table), key))
        return f"{setting} = {value}, {settings.origin(table, key)}"

    return [
        f"{rule.settings[0]}: {rule.reason} ({'; '.join(map(shown, rule.settings))})"
        for rule in RULES
        if not rule.holds(settings)
        and faulty.isdisjoint([part for name in rule.settings for part in (name, name.partition(".")[0])])
    ]


def doubts(settings: Settings, cores: int | None = None) -> list[str]:
    """What works but is seldom meant, one sentence each, for the log at start.

    ``cores``: processor cores this process may use; asked from the system if not given.
    """
    cores = cores or len(os.sched_getaffinity(0))
    server, engine = settings.server, settings.engine
    found = []
    if not server.is_loopback:
        found.append(f"server.host = {server.host}: the network can reach conversations, unencrypted")
    if server.idle_timeout >= server.max_session_duration:
        found.append("server.idle_timeout never acts: it is not shorter than server.max_session_duration")
    if engine.chunk_timeout > server.shutdown_timeout:
        found.append("server.shutdown_timeout is below engine.chunk_timeout: the last words may be lost")
    lanes, threads = engine.layout(cores)
    if (wanted := lanes * threads) > cores:
        found.append(f"engine.lanes x engine.threads = {wanted} on {cores} cores: they wait for one another")
    return found
