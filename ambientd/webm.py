"""Browsers' recordings, WebM with Opus in it, as Ogg with the same Opus: what libsndfile can read.

Only the wrapping changes, no sample is touched.  A whole FFmpeg behind the box's door, for one container, would be
more to trust than these two formats are to read; and this runs where a file is taken apart, in a process of its own.

Source: RFC 8794 (EBML), RFC 9559 (Matroska), RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), RFC 6716 section 3 (packets).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAGIC: Final = b"\x1a\x45\xdf\xa3"
"""What every EBML file begins with."""

RATE: Final = 48_000
"""Samples a second that Opus counts in, whatever was recorded."""

LONGEST_SILENCE: Final = 3_600 * RATE
"""Samples of silence put in for time without packets, in all: more is a damaged clock."""


class _Id(IntEnum):
    """The elements that matter here."""

    SEGMENT = 0x18538067
    INFO = 0x1549A966
    TRACKS = 0x1654AE6B
    TRACK = 0xAE
    CLUSTER = 0x1F43B675
    GROUP = 0xA0
    SCALE = 0x2AD7B1
    NUMBER = 0xD7
    CODEC = 0x86
    PRIVATE = 0x63A2
    TIME = 0xE7
    SIMPLE_BLOCK = 0xA3
    BLOCK = 0xA1


_INSIDE: Final = frozenset({_Id.SEGMENT, _Id.INFO, _Id.TRACKS, _Id.TRACK, _Id.CLUSTER, _Id.GROUP})
"""Elements that are entered."""

_UNKNOWN: Final = -1
"""Size of an element that ends where the next of its level begins: a recorder does not know it beforehand."""

_LACING: Final = 0x06
_TOLERATED: Final = RATE // 10
"""Samples by which a block's time may be off before silence is put in: recorders round to milliseconds."""

_REFLECTED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class NotOpus(ValueError):
    """It is no WebM that can be read here, or there is no Opus in it; the message is for whoever sent it."""


@dataclass(slots=True)
class _Track:
    number: int = 0
    codec: bytes = b""
    private: bytes = b""


def to_ogg(data: bytes) -> bytes:
    """The Opus of a WebM file as an Ogg file; one that is cut off is taken as far as it goes.

    Raises:
        NotOpus: there is none in it that can be read.
    """
    tracks: list[_Track] = []
    packets: list[tuple[int, bytes]] = []
    scale, cluster = 1_000_000, 0
    chosen: _Track | None = None
    for name, begin, end in _elements(data):
        value = data[begin:end]
        match name:
            case _Id.SCALE:
                scale = int.from_bytes(value) or scale
            case _Id.TRACK:
                tracks.append(_Track())
            case _Id.NUMBER if tracks:
                tracks[-1].number = int.from_bytes(value)
            case _Id.CODEC if tracks:
                tracks[-1].codec = value.rstrip(b"\0")
            case _Id.PRIVATE if tracks:
                tracks[-1].private = value
            case _Id.TIME:
                cluster = int.from_bytes(value)
            case _Id.SIMPLE_BLOCK | _Id.BLOCK:
                chosen = chosen or _opus(tracks)
                packets += _packets(value, chosen.number, cluster, scale)
            case _:
                pass
    chosen = chosen or _opus(tracks)
    if not packets:
        raise NotOpus("the WebM file holds no audio")
    return b"".join(_pages(chosen.private, packets))


def _opus(tracks: list[_Track]) -> _Track:
    for track in tracks:
        if track.codec == b"A_OPUS" and track.private[:8] == b"OpusHead" and len(track.private) >= 19:  # noqa: PLR2004
            return track
    raise NotOpus("the WebM file holds no audio in Opus")


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Id, begin and end of the contents of each element, in the order of the file, the entered ones too."""
    at = 0
    while at < len(data):
        name, after = _number(data, at, marked=True)
        size, begin = _number(data, after, marked=False)
        if begin <= after or after <= at:
            return  # damaged, or cut off in the middle of a head
        if name in _INSIDE:
            yield name, begin, begin
            at = begin
            continue
        if size == _UNKNOWN or begin + size > len(data):
            return  # cut off: what came before stands
        yield name, begin, begin + size
        at = begin + size


def _number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """An EBML number of variable length and where it ends; ``marked`` keeps the bit that tells the length."""
    if at >= len(data) or not data[at]:
        return 0, at
    length = 9 - data[at].bit_length()
    if at + length > len(data):
        return 0, at
    value = int.from_bytes(data[at : at + length])
    if marked:
        return value, at + length
    bits = 7 * length
    value &= (1 << bits) - 1
    return (_UNKNOWN if value == (1 << bits) - 1 else value), at + length


def _packets(block: bytes, number: int, cluster: int, scale: int) -> list[tuple[int, bytes]]:
    """The packet of a block, with its time in samples; none if it is another track's."""
    track, at = _number(block, 0, marked=False)
    if track != number or len(block) < at + 4:
        return []
    if block[at + 2] & _LACING:
        raise NotOpus("the WebM file packs its audio in a way that is not read here")
    ticks = cluster + int.from_bytes(block[at : at + 2], signed=True)
    return [(ticks * scale * RATE // 1_000_000_000, block[at + 3 :])]


def duration(packet: bytes) -> int:
    """Samples that an Opus packet holds; 0 for one that is none."""
    if not packet:
        return 0
    kind = packet[0] >> 3
    if kind < 12:  # noqa: PLR2004 - the table of RFC 6716 section 3.1
        frame = (480, 960, 1920, 2880)[kind % 4]
    elif kind < 16:  # noqa: PLR2004
        frame = (480, 960)[kind % 2]
    else:
        frame = (120, 240, 480, 960)[kind % 4]
    match packet[0] & 3:
        case 0:
            return frame
        case 3:
            return frame * (packet[1] & 0x3F) if len(packet) > 1 else 0
        case _:
            return 2 * frame


def _timed(packets: list[tuple[int, bytes]], *, stereo: bool) -> Iterator[bytes]:
    """The packets in their order, silence between those that a pause lies between."""
    # 20 ms of nothing, in the widest band, as an encoder writes it.
    silence = bytes([0xFC if stereo else 0xF8, 0xFF, 0xFE])
    origin, at, spent = packets[0][0], 0, 0
    for time, packet in packets:
        missing = time - origin - at
        if missing > _TOLERATED:
            count = missing // 960
            spent += 960 * count
            if spent > LONGEST_SILENCE:
                raise NotOpus("the times in the WebM file are damaged")
            at += 960 * count
            yield from (silence for _ in range(count))
        at += duration(packet)
        yield packet


def _pages(head: bytes, packets: list[tuple[int, bytes]]) -> Iterator[bytes]:
    yield _page([head], 0, number=0, kind=2)
    yield _page([b"OpusTags" + bytes(8)], 0, number=1, kind=0)
    waiting: list[bytes] = []
    laces, position, number = 0, 0, 2
    for packet in _timed(packets, stereo=head[9] > 1):
        if not (samples := duration(packet)) or len(packet) > 60_000:  # noqa: PLR2004 - a page holds 255 times 255 bytes
            continue
        needed = len(packet) // 255 + 1
        if laces + needed > 255:  # noqa: PLR2004
            yield _page(waiting, position, number=number, kind=0)
            waiting, laces, number = [], 0, number + 1
        waiting.append(packet)
        laces += needed
        position += samples
    yield _page(waiting, position, number=number, kind=4)


def _page(packets: list[bytes], position: int, *, number: int, kind: int) -> bytes:
    """An Ogg page of whole packets; ``position``: samples up to its end.  ``kind``: 2 the first, 4 the last."""
    laces = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + bytes([kind]) + position.to_bytes(8, "little") + b"ambi" + number.to_bytes(4, "little")
    body = bytes([len(laces)]) + laces + b"".join(packets)
    return head + _checksum(head + bytes(4) + body).to_bytes(4, "little") + body


def _checksum(page: bytes) -> int:
    """Ogg's CRC, which is zlib's with every byte and the result turned round, begun at 0 and not inverted."""
    turned = zlib.crc32(page.translate(_REFLECTED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2)
