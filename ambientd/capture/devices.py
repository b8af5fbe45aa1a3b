"""Which microphones there are, and which of them is meant.

A device's number is never its name: PortAudio numbers anew at each start, the kernel in the order of plugging in, and
both differ between a shell and the service.  What stays is the USB id, the socket, and the name.
Only the standard library: the capturing process loads nothing it does not need.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/")

USB_ID: Final = re.compile(r"(?i)([0-9a-f]{4}:[0-9a-f]{4})(?:@([0-9.-]+))?")
"""Maker and product, and perhaps the socket, as in ``0d8c:0014@1-2``."""

_CARD: Final = re.compile(r"\s*\((?:plug)?hw:(\d+),(\d+)\)$")
"""How PortAudio ends the name of a device that is hardware.  Source: ``BuildDeviceList`` in its pa_linux_alsa.c."""

_SOCKET: Final = re.compile(r"(\d+-[0-9.]+):[0-9.]+$")
"""The end of a USB interface's path under /sys: bus, sockets on the way, configuration and interface."""


@dataclass(frozen=True, slots=True)
class Card:
    """A sound card as the kernel has it."""

    number: int
    name: str = ""
    usb: str = ""
    """Maker and product, ``0d8c:0014``; empty if it is no USB device."""
    socket: str = ""
    captures: bool = True
    """Whether it can capture at all."""
    busy: bool = False
    """Whether somebody captures from it now."""
    allowed: bool = True
    """Whether this process may open it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device as PortAudio lists it, and what the kernel knows of it."""

    index: int
    """PortAudio's number, good until the process ends."""
    name: str
    """Without the card's number."""
    channels: int
    rate: int
    default: bool = False
    card: Card | None = None
    """``None``: it is no hardware but a plugin, such as a sound server."""


def found(index: int, label: str, *, channels: int, rate: int, default: bool, cards: Sequence[Card]) -> Found:
    """A device from PortAudio's ``label`` of it."""
    match = _CARD.search(label)
    number = int(match[1]) if match else None
    card = next((card for card in cards if card.number == number), None)
    return Found(index, plain(label), channels, rate, default, card)


def plain(label: str) -> str:
    """A device's name without what changes from start to start."""
    return _CARD.sub("", label).removesuffix(": -").strip()


def names(devices: Sequence[Found]) -> list[str]:
    """For each device the name by which settings can mean it, and no other."""
    usb = [device.card.usb if device.card else "" for device in devices]
    return [
        f"{own}@{device.card.socket}"
        if device.card and own and usb.count(own) > 1 and device.card.socket
        else own or device.name
        for device, own in zip(devices, usb, strict=True)
    ]


def choose(devices: Sequence[Found], wanted: str) -> Found | None:
    """The device that is meant by ``wanted``: a USB id, a name, a part of a name; empty takes the likeliest."""
    if not wanted:
        return _first(
            (device for device in devices if device.card and device.card.usb),
            (device for device in devices if device.default),
            (device for device in devices if device.card),
            devices,
        )
    if (match := USB_ID.fullmatch(wanted)) is not None:
        return _first(device for device in devices if device.card and _is(device.card, match))
    asked = plain(wanted).casefold()
    return _first(
        (device for device in devices if device.name.casefold() == asked),
        (device for device in devices if device.name.casefold().startswith(asked)),
        (device for device in devices if asked in device.name.casefold()),
    )


def meant(cards: Sequence[Card], wanted: str) -> list[Card]:
    """The cards ``wanted`` may mean, whether PortAudio lists them or not."""
    able = [card for card in cards if card.captures]
    if not wanted:
        return able
    if (match := USB_ID.fullmatch(wanted)) is not None:
        return [card for card in able if _is(card, match)]
    # PortAudio's name begins with the card's: "USB Audio Device: - (hw:1,0)".
    asked = plain(wanted).casefold()
    return [
        card
        for card in able
        if card.name and (asked in card.name.casefold() or asked.startswith(card.name.casefold()))
    ]


def _is(card: Card, wanted: re.Match[str]) -> bool:
    return card.usb == wanted[1].lower() and (wanted[2] is None or wanted[2] == card.socket)


def _first(*choices: Iterable[Found]) -> Found | None:
    return next((device for devices in choices for device in devices), None)


def cards(root: Path = SYSTEM) -> list[Card]:
    """The sound cards the kernel has, by number."""
    listed = root / "sys/class/sound"
    if not listed.is_dir():
        return []
    numbers = sorted(
        int(match[1]) for path in listed.iterdir() if (match := re.fullmatch(r"card(\d+)", path.name))
    )
    return [_card(root, number) for number in numbers]


def signature(root: Path = SYSTEM) -> frozenset[str]:
    """What changes when a sound card comes or goes; costs one look into a folder."""
    try:
        return frozenset(path.name for path in (root / "sys/class/sound").iterdir())
    except OSError:
        return frozenset()


def _card(root: Path, number: int) -> Card:
    device = root / f"sys/class/sound/card{number}/device"
    path = os.path.realpath(device)
    socket = _SOCKET.search(path)
    parent = Path(path).parent
    usb = ":".join(_read(parent / name) for name in ("idVendor", "idProduct")) if socket else ""
    known = root / f"proc/asound/card{number}"
    if usb in {"", ":"}:  # the kernel's other place for it
        usb = _read(known / "usbid")
    states = [_read(path) for path in sorted(known.glob("pcm*c/sub*/status"))]
    nodes = sorted((root / "dev/snd").glob(f"pcmC{number}D*c"))
    return Card(
        number,
        _name(root, number),
        usb.lower(),
        socket[1] if socket else "",
        captures=bool(nodes) or bool(states),
        busy=bool(states) and all(state != "closed" for state in states),
        allowed=all(os.access(node, os.R_OK | os.W_OK) for node in nodes),
    )


def _name(root: Path, number: int) -> str:
    """The card's own name.  Source: /proc/asound/cards, `` 1 [Device         ]: USB-Audio - USB Audio Device``."""
    for line in _read(root / "proc/asound/cards").splitlines():
        match = re.match(r"\s*(\d+) \[.*?\]: .*? - (.*)", line)
        if match and int(match[1]) == number:
            return match[2].strip()
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
