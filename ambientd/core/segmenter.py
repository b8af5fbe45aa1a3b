"""PCM in, pieces of speech out: where the conversation is cut for the engine.

Pure: no clock, no thread, no model.  Time is samples received.  The voice detector is handed in as a
function, so that the rules can be tested without weights.

The rules, in the order in which they apply to each frame of 32 ms:

    Rule 1  Speech opens a piece.  It begins ``pre_roll`` before the first speech frame, but never before the
            end of the piece before it: no sample is in two pieces.
    Rule 2  A piece that holds at least ``least`` ends at the next ``pause``.
    Rule 3  A shorter piece ends after ``patience`` of silence.  That is long: short pieces are the worst heard of all,
            and a question and its short answer belong together.
    Rule 4  A piece that reaches ``most`` is cut where speech is least likely within the last ``search``, behind what is
            in a line already, and what follows the cut opens the next piece: no sample of speech falls between two.
    Rule 5  A piece with less than ``min_speech`` of clear speech, or without a frame that is speech beyond doubt
            (``min_peak``), is noise and is dropped, unless it continues a piece cut by rule 4: then it may be the end
            of a word.

Why not simply cut every two seconds with an overlap?  Measured on consultations that costs five times the word
errors: words are cut in two and said twice.  The figures are in docs/benchmarks.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ambientd.core.audio import RATE, Samples

FRAME: Final = 512
"""Samples the voice detector judges at once (32 ms).  Source: Silero VAD v5 and later take exactly this."""

SMOOTHING: Final = 9
"""Frames over which the probability is averaged to find a place to cut."""

Detect = Callable[[Samples], float]
"""The probability that one frame (float32[512]) holds speech.  Called for every frame, in order, once."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers behind the rules; all lengths in samples."""

    threshold: float = 0.5
    """Probability from which a frame opens a piece or counts as speech."""
    release: float = 0.35
    """Probability below which a frame counts as silence once a piece is open.  Source: Silero's own default,
    threshold - 0.15: a voice that trails off is still speech."""
    pre_roll: int = RATE // 2
    post_roll: int = RATE // 2
    """Kept after the last speech: soft word endings fall below the threshold."""
    pause: int = RATE // 2
    least: int = 8 * RATE
    most: int = 16 * RATE
    patience: int = 5 * RATE
    search: int = 5 * RATE
    min_speech: int = RATE // 4
    min_peak: float = 0.75
    """Probability that one frame at least must reach.  Source: measured, docs/benchmarks.md: dishes and room noise
    give blips of 0.16 s that stay below 0.65."""

    def __post_init__(self) -> None:
        if not 0 < self.release <= self.threshold < 1:
            raise ValueError("need 0 < release <= threshold < 1")
        if not 0 <= self.post_roll <= self.pause <= self.patience:
            raise ValueError("need 0 <= post_roll <= pause <= patience")
        if not 0 < self.least <= self.most or self.pre_roll + self.search >= self.most:
            raise ValueError("need 0 < least <= most and pre_roll + search < most")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the conversation for the engine to hear at once."""

    start: int
    """Samples since the session started."""
    audio: Samples
    voiced: npt.NDArray[np.bool_]
    """bool[m]: whether the detector called each frame of ``FRAME`` samples speech; the last frame may be shorter."""
    peak: float
    """The detector's highest probability in it."""
    ended_by: Literal["pause", "silence", "length", "end", "open"]
    """``open``: not ended yet; more audio will follow."""

    @property
    def end(self) -> int:
        """Samples since the session started, exclusive."""
        return self.start + len(self.audio)

    @property
    def speech(self) -> int:
        """Samples in it that the detector called speech."""
        return int(np.count_nonzero(self.voiced)) * FRAME

    @property
    def quiet(self) -> int:
        """Samples of silence at its end."""
        heard = np.flatnonzero(self.voiced)
        return (len(self.voiced) - 1 - int(heard[-1])) * FRAME if len(heard) else len(self.audio)

    def after(self, moment: int) -> Piece:
        """What lies behind ``moment`` (samples since the session started), from the frame that holds it."""
        first = max(0, moment - self.start) // FRAME
        return replace(
            self,
            start=self.start + first * FRAME,
            audio=self.audio[first * FRAME :],
            voiced=self.voiced[first:],
        )

    def before(self, later: Piece) -> Piece:
        """This piece and a later one as one; between them lies silence."""
        gap = later.start - self.end
        # A piece that ended in the middle of a frame was the session's last: nothing can follow it.
        quiet = np.zeros(gap, np.float32), np.zeros(gap // FRAME, np.bool_)
        return Piece(
            self.start,
            np.concatenate((self.audio, quiet[0], later.audio)),
            np.concatenate((self.voiced, quiet[1], later.voiced)),
            max(self.peak, later.peak),
            later.ended_by,
        )


@dataclass(slots=True)
class _Frame:
    audio: Samples
    probability: float
    """Of speech."""
    spoken: bool
    """Whether it belongs to speech, with hysteresis: a voice that trails off is still speech."""


class Segmenter:
    """Cuts one session's audio into pieces.

    Call :meth:`receive` with consecutive audio in blocks of any size, then :meth:`finish` once.  Any division
    into blocks gives the same pieces.
    """

    def __init__(self, detect: Detect, rules: Rules | None = None, *, start: int = 0) -> None:
        """``start``: samples of the session that lie behind it already."""
        self._detect = detect
        self._rules = rules or Rules()
        self._rest = np.empty(0, np.float32)
        """Fewer than ``FRAME`` samples that wait for more."""
        self._frames: deque[_Frame] = deque()
        """Consecutive frames that end where the judged audio ends: the open piece, or the pre-roll for the next."""
        self._judged = start
        """Samples the detector has seen, or that were skipped."""
        self._open = False
        self._silence = 0
        """Samples since the last speech frame of the open piece."""
        self._spoken = False
        """Whether the frame judged last belongs to speech."""
        self._continues = False
        """Whether the open piece begins at a cut of rule 4."""
        self._settled = start
        """Samples: what lies before is in a line already, and stays in one piece."""

    @property
    def received(self) -> int:
        """Samples received so far."""
        return self._judged + len(self._rest)

    @property
    def speaking(self) -> bool:
        """Whether a piece is open."""
        return self._open

    def receive(self, audio: Samples) -> list[Piece]:
        """The pieces that end within ``audio``, oldest first; usually none."""
        audio = np.concatenate((self._rest, audio))
        whole = len(audio) - len(audio) % FRAME
        self._rest = audio[whole:].copy()
        pieces = []
        for begin in range(0, whole, FRAME):
            piece = self._judge(audio[begin : begin + FRAME])
            if piece:
                pieces.append(piece)
        return pieces

    def finish(self) -> list[Piece]:
        """What is still open when the session ends; only :meth:`skip` may go on afterwards."""
        if not self._open:
            return []
        if len(self._rest):
            # Too short to be judged, so it shares the fate of the piece it would have ended.
            self._frames.append(_Frame(self._rest, 0.0, spoken=False))
            self._judged += len(self._rest)
            self._rest = self._rest[:0]
        piece = self._piece(list(self._frames), "end")
        self._frames.clear()
        self._open = False
        return [piece] if self._is_speech(piece) else []

    def skip(self, samples: int) -> list[Piece]:
        """Passes over ``samples`` that nobody has heard; gives what was being said before them, which ends here."""
        pieces = self.finish()
        self._judged += len(self._rest) + samples
        self._rest = self._rest[:0]
        self._frames.clear()
        self._spoken = self._continues = False
        return pieces

    def settle(self, moment: int) -> None:
        """What lies before ``moment`` (samples) is in a line already: behind a cut in it, it would be heard anew."""
        self._settled = moment

    def open_piece(self) -> Piece | None:
        """The piece being spoken, as far as it has come; ``None`` while nobody speaks, or it may yet be noise."""
        if not self._open:
            return None
        piece = self._piece(list(self._frames), "open")
        return piece if self._is_speech(piece) else None

    def _judge(self, audio: Samples) -> Piece | None:
        rules = self._rules
        probability = self._detect(audio)
        spoken = probability >= (rules.release if self._spoken else rules.threshold)
        self._spoken = spoken
        self._frames.append(_Frame(audio, probability, spoken))
        self._judged += FRAME
        if not self._open:
            if spoken:  # rule 1
                self._open = True
                self._silence = 0
                self._continues = False
            else:
                while (len(self._frames) - 1) * FRAME >= rules.pre_roll:
                    self._frames.popleft()
            return None
        self._silence = 0 if spoken else self._silence + FRAME
        length = self._length()
        if self._silence >= rules.pause and length - self._silence >= rules.least:
            return self._end_in_silence("pause")  # rule 2
        if self._silence >= rules.patience:
            return self._end_in_silence("silence")  # rule 3
        if length >= rules.most:
            return self._cut()  # rule 4
        return None

    def _length(self) -> int:
        return len(self._frames) * FRAME

    def _end_in_silence(self, ended_by: Literal["pause", "silence"]) -> Piece | None:
        """Ends the open piece ``post_roll`` after its last speech; the silence that remains is pre-roll."""
        spare = (self._silence - self._rules.post_roll) // FRAME
        frames = list(self._frames)
        cut = len(frames) - spare
        keep = -(-self._rules.pre_roll // FRAME)
        self._frames = deque(frames[max(cut, len(frames) - keep) :])
        self._open = False
        piece = self._piece(frames[:cut], ended_by, behind=spare * FRAME)
        return piece if self._is_speech(piece) else None

    def _cut(self) -> Piece:
        """Cuts the open piece where speech is least likely; what follows stays open."""
        frames = list(self._frames)
        settled = -(-(self._settled - (self._judged - len(frames) * FRAME)) // FRAME)
        first = max(len(frames) - self._rules.search // FRAME, min(settled, len(frames) - 1))
        likely = np.array([frame.probability for frame in frames[first:]])
        # Over nine frames, a third of a second: the stop of a consonant is no pause.
        padded = np.pad(likely, SMOOTHING // 2, mode="edge")
        cut = first + 1 + int(np.argmin(np.convolve(padded, np.ones(SMOOTHING), "valid")))
        rest = frames[cut:]
        self._frames = deque(rest)
        # With nothing behind the cut the word may still go on in the next frame.
        self._open = self._continues = not rest or any(frame.spoken for frame in rest)
        self._silence = 0
        for frame in reversed(rest):
            if frame.spoken:
                break
            self._silence += FRAME
        return self._piece(frames[:cut], "length", behind=len(rest) * FRAME)

    def _piece(
        self,
        frames: list[_Frame],
        ended_by: Literal["pause", "silence", "length", "end", "open"],
        *,
        behind: int = 0,
    ) -> Piece:
        """The piece made of ``frames``, whose last sample lies ``behind`` samples before the last one judged."""
        audio = np.concatenate([frame.audio for frame in frames]) if frames else np.empty(0, np.float32)
        voiced = np.array([frame.probability >= self._rules.threshold for frame in frames], np.bool_)
        peak = max((frame.probability for frame in frames), default=0.0)
        return Piece(self._judged - behind - len(audio), audio, voiced, peak, ended_by)

    def _is_speech(self, piece: Piece) -> bool:
        if self._continues:
            return piece.speech > 0
        return piece.speech >= self._rules.min_speech and piece.peak >= self._rules.min_peak  # rule 5
