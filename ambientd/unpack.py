"""A recording on standard input, its samples on standard output: run as a process of its own for each file sent.

Whoever can reach the box can send a file, and the libraries that read a dozen formats are C: a file made to break them
breaks this process, which has nothing else in its memory, and not the daemon, which has everybody's conversations.

What it writes: one line of JSON, ``{"seconds": 61.5}`` or ``{"fault": ..., "hint": ...}``.  Then blocks, each with its
length in front (4 bytes, little-endian); the last has the length 0, and one more line of JSON behind it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from typing import BinaryIO, Final

from ambientd.audiofile import AudioUnreadable, read_recording
from ambientd.core.audio import RATE

BLOCK: Final = RATE
"""Samples in a block: 1 s."""


def unpack(source: BinaryIO, sink: BinaryIO) -> None:
    """Reads all of ``source`` and writes its samples to ``sink``."""
    try:
        seconds, blocks = read_recording(source, block=BLOCK, copied=_write_no_file)
    except AudioUnreadable as error:
        _say(sink, _fault(error))
        return
    _say(sink, {"seconds": seconds})
    fault = {}
    try:
        sink.writelines(len(block).to_bytes(4, "little") + block for block in blocks)
    except AudioUnreadable as error:
        fault = _fault(error)
    sink.write(bytes(4))
    _say(sink, fault)


def _write_no_file() -> None:
    """Whatever takes this process over from now on."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _fault(error: AudioUnreadable) -> dict[str, str]:
    return {"fault": error.message, "hint": error.hint}


def _say(sink: BinaryIO, fields: dict[str, float] | dict[str, str]) -> None:
    sink.write(json.dumps(fields).encode() + b"\n")
    sink.flush()


def main() -> None:
    """The process: it may not write a file, nor leave its memory behind when it breaks."""
    # A sandbox may refuse any change of limits and priorities; the service's own allows these.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        os.nice(10)
    # Notes of the decoders, and a trace if it breaks: nothing that anybody could act on.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        unpack(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(1)  # nobody wants it any more; closing standard output would complain once more


if __name__ == "__main__":
    main()
