"""What goes into the pipe comes out of it, whole, or not at all."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.capture.frames import Frame, Garbled, Kind, told, write
from ambientd.capture.process import read

FRAMES = st.builds(
    Frame, st.sampled_from(Kind), st.binary(max_size=2_000), st.integers(-(2**63), 2**63 - 1), st.booleans()
)


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def all_of(data: bytes) -> list[Frame]:
    reader, frames = stream(data), []
    while (frame := await read(reader)) is not None:
        frames.append(frame)
    return frames


@given(st.lists(FRAMES, max_size=5), st.integers(0, 30))
def test_frames_come_out_as_they_went_in_and_half_a_frame_is_the_end(frames, cut):
    data = b"".join(frame.pack() for frame in frames)

    assert asyncio.run(all_of(data)) == frames
    if frames:
        assert asyncio.run(all_of(data[: -1 - cut % len(frames[-1].pack())])) == frames[:-1]


@pytest.mark.parametrize("data", [b"\xff" * 16, b"\x03\0\0\0\xff\xff\xff\xff" + bytes(8), b"\0" * 16])
async def test_what_is_no_frame_is_told(data: bytes):
    with pytest.raises(Garbled):
        await read(stream(data))


async def test_what_is_no_json_is_told():
    assert told(Kind.FAILED, {"reason": "failed"}).fields == {"reason": "failed"}
    with pytest.raises(Garbled):
        _ = Frame(Kind.FAILED, b"{").fields


def test_writing_to_nobody_is_told():
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        write(theirs, Frame(Kind.PCM, bytes(100)))
    os.close(theirs)
