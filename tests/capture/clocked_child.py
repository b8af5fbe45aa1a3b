"""A capturing process whose microphone is known to the sample: sample i of the room is what ``sound`` says it is.

It speaks to its parent as the real one does, in real time, from wherever the room is when it starts.
Arguments: the moment (monotonic, nanoseconds) of the room's first sample, a recording or nothing, and what is asked.
"""

import json
import sys
import time

import numpy as np

from ambientd.capture.frames import Frame, Kind, told, write

RATE = 16_000
BLOCK = RATE // 20
SAMPLE = 1_000_000_000 // RATE


def counting(first: int, count: int) -> np.ndarray:
    """A room in which every sample says which one it is, for two seconds at a time."""
    return ((np.arange(first, first + count) % 32_000) + 1).astype(np.int16)


def playing(path: str):
    """A room in which a recording (16-bit, 16 kHz) is played over and over."""
    recording = np.memmap(path, dtype=np.int16, mode="r")
    return lambda first, count: recording[np.arange(first, first + count) % len(recording)]


def main() -> None:
    epoch, recording, asked = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    sound = playing(recording) if recording else counting
    device = {"id": "room", "name": "room", "channels": 1, "rate": RATE, "default": True}
    write(1, told(Kind.FOUND, {"devices": [device], "chosen": 0, "reason": None}))
    if asked.get("list"):
        return
    write(1, told(Kind.OPENED, {"name": "room", "rate": RATE, "channels": 1}))
    first = (time.monotonic_ns() - epoch) // SAMPLE + 1
    while True:
        end = epoch + (first + BLOCK) * SAMPLE
        time.sleep(max(0.0, (end - time.monotonic_ns()) / 1e9))
        write(1, Frame(Kind.PCM, sound(first, BLOCK).tobytes(), end))
        first += BLOCK


if __name__ == "__main__":
    main()
