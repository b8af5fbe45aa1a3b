"""What the capturing process writes into its pipe: frames, each with its length and the time of its last sample.

Both ends are ours and start together, so there is no version; a frame that cannot be right ends the process.
Only the standard library, and of that little: the capturing process loads nothing it does not need.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

HEADER: Final = struct.Struct("<BBxxIq")
"""Kind, whether something was lost just before, bytes that follow, nanoseconds."""

LONGEST: Final = 1 << 20
"""Bytes a frame may announce; a block of 50 ms with 32 channels at 192 kHz has 614,400."""


class Kind(IntEnum):
    """What a frame holds."""

    FOUND = 1
    """JSON: the devices there are, and the number of the one that is meant in that list, or the reason why none is."""
    OPENED = 2
    """JSON: the device that was opened, its rate and channels."""
    PCM = 3
    """Interleaved signed 16-bit samples in this machine's byte order."""
    FAILED = 4
    """JSON: reason and detail.  Nothing follows."""


class Garbled(Exception):
    """What came through the pipe is no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: Kind
    body: bytes
    end: int = 0
    """Of PCM: when its last sample was captured, in nanoseconds of the monotonic clock, which all processes share."""
    broken: bool = False
    """Of PCM: whether samples were lost just before it."""

    def pack(self) -> bytes:
        """As it goes through the pipe."""
        return HEADER.pack(self.kind, self.broken, len(self.body), self.end) + self.body

    @property
    def fields(self) -> Any:
        """What its JSON says.

        Raises:
            Garbled: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Garbled("not JSON") from error


def told(kind: Kind, fields: object) -> Frame:
    """A frame of JSON."""
    return Frame(kind, json.dumps(fields).encode())


def write(descriptor: int, frame: Frame) -> None:
    """Writes all of a frame, waiting for room in the pipe.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    rest = memoryview(frame.pack())
    while rest:
        rest = rest[os.write(descriptor, rest) :]
