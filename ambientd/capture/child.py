"""The process that owns PortAudio: it reads one microphone and writes frames into its pipe, nothing else.

    Rule 1  Blocking reads.  Callbacks need memory that is written and run, which the service's sandbox forbids.
    Rule 2  It may hang, crash and spin: PortAudio does when a USB microphone is pulled.  Whoever started it kills it.
    Rule 3  One device, one life: PortAudio's list of devices is as old as the process, so each attempt is a new one.
    Rule 4  It dies with its parent, and leaves nothing behind: no file, no core.

Run as ``python -m ambientd.capture.child '{"parent": 123, "device": "0d8c:0014", "channel": 0, "rate": 0}'``; with
``{"parent": 123, "list": true}`` it only tells which devices there are.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import fcntl
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from ambientd.capture import devices
from ambientd.capture.frames import Frame, Kind, told, write
from ambientd.capture.pace import Pace

BLOCK: Final = 20
"""Blocks a second: 50 ms is little beside a decode, and twenty wake-ups a second cost next to nothing."""

LATENCY: Final = 0.2
"""Seconds of sound the device buffers while this process waits for a processor or for room in its pipe."""

RATES: Final = (48_000, 44_100, 32_000, 16_000)
"""Tried in turn where a device does not take the rate it gives as its own."""

LIBRARY: Final = "libportaudio.so.2"
"""PortAudio, as Debian's libportaudio2 has it."""

MANY: Final = 32
"""Channels above which the number is a plugin's way to say "any"."""

PIPE: Final = 1 << 20
"""Bytes the pipe is asked to hold: 5 s of 48 kHz stereo, so that a busy parent does not hold up the device.  It is the
most the kernel grants without a privilege (fs.pipe-max-size)."""

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
"""Source: linux/prctl.h."""

NOT_THIS_FORMAT: Final = (-9998, -9997, -9994)
"""Channels, rate, sample format.  Source: ``PaErrorCode`` in portaudio.h."""

UNAVAILABLE: Final = -9985
"""What PortAudio makes of "busy".  Source: ``PaErrorCode`` in portaudio.h."""

REASONS: Final = {
    errno.EBUSY: "device_busy",
    errno.EACCES: "no_access",
    errno.EPERM: "no_access",
    errno.ENODEV: "device_lost",
    errno.ENOENT: "device_lost",
    errno.ENXIO: "device_lost",
    errno.EIO: "device_lost",
}
"""What an error of ALSA means for a person."""


class NoSound(Exception):
    """There is nothing to capture."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def capture(sink: int, audio: Any, *, wanted: str, channel: int, rate: int) -> None:
    """Writes all that the device gives, for ever.

    ``audio``: the module ``sounddevice``.  ``channel``: the one to be heard, from 1; 0 for all.  ``rate``: Hz; 0 for
    the device's own.

    Raises:
        NoSound: it is not there, cannot be opened, or has gone.
        BrokenPipeError: nobody listens any more.
    """
    device = tell_found(sink, audio, wanted)
    if device is None:
        return
    if channel > device.channels:
        raise NoSound("failed", f"the microphone has {device.channels} channel(s) and no channel {channel}")
    try:
        stream, opened = _open(audio, device, channel=channel, rate=rate)
        pace = Pace(opened["rate"], time.monotonic_ns())
        stream.start()
        write(sink, told(Kind.OPENED, opened))
        block = opened["rate"] // BLOCK
        while True:
            pcm, broken = stream.read(block)
            now = time.monotonic_ns()
            end = pace.end(block, now, _waiting(audio, stream))
            write(sink, Frame(Kind.PCM, bytes(pcm), end, bool(broken)))
            if wait := pace.ahead(now):
                time.sleep(wait)
    except audio.PortAudioError as error:
        raise _told(error) from error


def found(audio: Any) -> list[devices.Found]:
    """The devices that can capture."""
    known = devices.cards()
    default = audio.default.device[0]
    return [
        devices.found(
            device["index"],
            device["name"],
            channels=device["max_input_channels"],
            rate=round(device["default_samplerate"]),
            default=device["index"] == default,
            cards=known,
        )
        for device in audio.query_devices()
        if device["max_input_channels"] > 0
    ]


def tell_found(sink: int, audio: Any, wanted: str) -> devices.Found | None:
    """Tells the parent which devices there are and which of them is meant, or why none is; gives that one."""
    listed = found(audio)
    device = devices.choose(listed, wanted)
    shown = [
        {
            "id": name,
            "name": one.name,
            "channels": one.channels,
            "rate": one.rate,
            "default": one.default,
        }
        for name, one in zip(devices.names(listed), listed, strict=True)
    ]
    chosen = listed.index(device) if device else None
    reason = None if device else _missing(wanted)
    write(sink, told(Kind.FOUND, {"devices": shown, "chosen": chosen, "reason": reason}))
    return device


def _open(audio: Any, device: devices.Found, *, channel: int, rate: int) -> tuple[Any, dict[str, Any]]:
    error: Exception | None = None
    for hertz in dict.fromkeys([rate] if rate else [device.rate, *RATES]):
        for channels in _layouts(device.channels, channel):
            try:
                stream = audio.RawInputStream(
                    device=device.index,
                    samplerate=hertz,
                    channels=channels,
                    dtype="int16",
                    latency=LATENCY,
                )
            except audio.PortAudioError as refused:
                if refused.args[1:2] and refused.args[1] in NOT_THIS_FORMAT:
                    error = refused
                    continue
                raise
            opened = {"name": device.name, "rate": hertz, "channels": channels, "default": device.default}
            return stream, opened
    raise NoSound("failed", "the microphone takes none of the sample rates tried") from error


def _layouts(channels: int, channel: int) -> Iterator[int]:
    """Numbers of channels to try: as few as do, since a plugin offers any; hardware may take its full number only."""
    least = channel or min(channels, 2)
    yield from dict.fromkeys(
        count for count in (least, 2, channels, 1) if max(1, channel) <= count <= min(channels, MANY)
    )


def _waiting(audio: Any, stream: Any) -> int:
    try:
        return int(stream.read_available)
    except audio.PortAudioError:  # the next read tells what has happened
        return 0


def _missing(wanted: str) -> str:
    """Why PortAudio does not list what is wanted: it leaves out what it cannot open."""
    likely = devices.meant(devices.cards(), wanted)
    if any(not card.allowed for card in likely):
        return "no_access"
    if any(card.busy for card in likely):
        return "device_busy"
    return "no_device"


def _told(error: Exception) -> NoSound:
    """PortAudio's error as ours.  Its arguments are the text, its own number and perhaps the host's error."""
    text, *numbers = error.args
    code = numbers[0] if numbers else 0
    host = numbers[1] if len(numbers) > 1 else None
    if code == UNAVAILABLE:
        return NoSound("device_busy", str(text))
    if host is not None:
        return NoSound(REASONS.get(abs(host[1]), "failed"), f"{text}: {host[2]}")
    return NoSound("failed", str(text))


def _portaudio() -> Any:
    """The module ``sounddevice``, which needs PortAudio to be imported at all.

    Raises:
        NoSound: PortAudio is not installed.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoSound("no_portaudio") from error
    # To find the library it would run ldconfig, and without that a compiler.
    ctypes.util.find_library = lambda name: LIBRARY  # noqa: ARG005
    os.environ["JACK_NO_START_SERVER"] = "1"
    import sounddevice  # noqa: PLC0415  # not before what has just been seen to

    return sounddevice


def bind(parent: int) -> None:
    """Ties this process to its parent, and keeps what it hears out of any core file.

    Raises:
        SystemExit: the parent is dead already.
    """
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The service's sandbox refuses any change of limits, and has set this one itself.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A Ctrl-C, and systemd's stop, reach every process of the service: the parent decides when the microphone ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getppid() != parent:
        raise SystemExit(1)


def main() -> None:
    """The process."""
    asked = json.loads(sys.argv[1])
    bind(asked["parent"])
    # PortAudio, ALSA and their plugins print what they like, on either.
    sink = os.dup(1)
    with suppress(OSError):  # granted or not, it works
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PIPE)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        audio = _portaudio()
        if asked.get("list"):
            tell_found(sink, audio, asked["device"])
        else:
            capture(sink, audio, wanted=asked["device"], channel=asked["channel"], rate=asked["rate"])
    except NoSound as none:
        write(sink, told(Kind.FAILED, {"reason": none.reason, "detail": none.detail}))
    except BrokenPipeError:
        pass  # nobody wants it any more
    # The boundary of the process: what else goes wrong is told through the pipe, since the error output is deaf.
    except Exception as error:  # noqa: BLE001
        write(sink, told(Kind.FAILED, {"reason": "failed", "detail": f"{type(error).__name__}: {error}"}))
    # PortAudio's own end waits for the device, which may be gone.
    os._exit(0)


if __name__ == "__main__":
    main()
