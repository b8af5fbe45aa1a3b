"""Browsers' recordings: WebM with Opus, wrapped anew as Ogg."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientd.audiofile import AudioUnreadable, read_recording
from ambientd.webm import NotOpus, duration, to_ogg

DATA = Path(__file__).parent / "data"
RECORDED = (DATA / "names.webm").read_bytes()
"""Of Chromium's MediaRecorder, in clusters of a second, none of which knows its size."""


def element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8) + content


def packets(count: int) -> list[bytes]:
    return [bytes([0xF8, 0xFF, 0xFE])] * count


def webm(
    blocks: list[tuple[int, bytes]], *, codec: bytes = b"A_OPUS", head: bytes = b"", flags: int = 0x80
) -> bytes:
    head = head or b"OpusHead\x01\x01" + (312).to_bytes(2, "little") + (48_000).to_bytes(4, "little") + bytes(
        3
    )
    track = element("ae", element("d7", b"\x01") + element("86", codec) + element("63a2", head))
    cluster = b"".join(
        element("a3", b"\x81" + time.to_bytes(2) + bytes([flags]) + packet) for time, packet in blocks
    )
    segment = element("1654ae6b", track) + element("1f43b675", element("e7", b"\x00") + cluster)
    return element("1a45dfa3", b"") + element("18538067", segment)


def read(ogg: bytes) -> soundfile.SoundFile:
    return soundfile.SoundFile(io.BytesIO(ogg))


def test_what_a_browser_has_recorded_is_read_to_its_end():
    length, blocks = read_recording(io.BytesIO(RECORDED))
    heard = np.frombuffer(b"".join(blocks), np.int16)
    played, _ = soundfile.read(DATA / "names.flac", dtype="int16")
    assert abs(length - 20.46) < 0.05
    assert abs(len(heard) / 16_000 - length) < 0.05
    assert 0.8 < np.abs(heard).mean() / np.abs(played).mean() < 1.2


def test_the_checksums_and_times_are_those_libsndfile_expects():
    file = read(to_ogg(webm([(20 * n, packet) for n, packet in enumerate(packets(500))])))
    assert (file.format, file.subtype, file.frames) == ("OGG", "OPUS", 500 * 960 - 312)
    assert len(file.read()) == file.frames


def test_time_without_packets_is_silence():
    file = read(to_ogg(webm([(0, packets(1)[0]), (2000, packets(1)[0])])))
    assert abs(file.frames / 48_000 - 2.02) < 0.02


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes():
    length, _ = read_recording(io.BytesIO(RECORDED[: len(RECORDED) // 2]))
    assert 8 < length < 12


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (webm([]), "holds no audio"),
        (webm([(0, b"x")], codec=b"A_VORBIS"), "no audio in Opus"),
        (webm([(0, b"x")], head=b"OpusHead"), "no audio in Opus"),
        (webm([(0, packets(1)[0])], flags=0x82), "in a way that is not read"),
        (RECORDED[:20], "no audio in Opus"),
    ],
)
def test_another_content_is_refused_with_the_reason(data, why):
    with pytest.raises(NotOpus, match=why):
        to_ogg(data)
    with pytest.raises(AudioUnreadable, match=why):
        read_recording(io.BytesIO(data))


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_file_however_damaged_breaks_it(data):
    damaged = bytearray(RECORDED[: data.draw(st.integers(0, 6000))])
    for _ in range(data.draw(st.integers(0, 20))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotOpus):
        assert to_ogg(bytes(damaged)).startswith(b"OggS")


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"", 0),
        (b"\x00", 480),
        (b"\x18", 2880),
        (b"\x60", 480),
        (b"\x80", 120),
        (b"\xf8", 960),
        (b"\xf9", 1920),
        (b"\xfb\x03", 2880),
        (b"\xfb", 0),
    ],
)
def test_the_length_of_a_packet_is_that_of_the_standard(packet, samples):
    assert duration(packet) == samples
