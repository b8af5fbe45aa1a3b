"""How many names are heard right, with the vocabulary and without: over visits that ``spoken.py`` has spoken.

    PYTHONPATH=tests python -m bench.naming FOLDER MODEL VAD

A name counts as right where its letters stand in the text, whatever the case, spaces and hyphens.  Of names that were
not said those that the vocabulary has are counted too: a wrong medicine is worse than a garbled one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ambientd.core.suspects import Index, Search
from ambientd.core.vocabulary import parse, spelling
from ambientd.engine.ordinary import ordinary_words
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper
from bench.accuracy import committed
from bench.recordings import ROOT, load
from bench.score import Score, score, total
from bench.spoken import names, said, visits

LONGEST_SPREAD = 5
"""Words over which the letters of one name may be spread."""


def right(expected: Sequence[str], text: str) -> Counter[str]:
    """Those of the names that stand in the text, each as often as it does but no more often than it was said."""
    words = [spelling(word) for word in text.split()]
    used: set[int] = set()
    found: Counter[str] = Counter()
    for name in sorted(expected, key=len, reverse=True):
        wanted = {spelling(name), spelling(name) + "s"}
        for start in range(len(words)):
            ends = range(start + 1, min(start + LONGEST_SPREAD, len(words)) + 1)
            end = next((end for end in ends if "".join(words[start:end]) in wanted), None)
            if end is not None and used.isdisjoint(range(start, end)):
                used |= set(range(start, end))
                found[name] += 1
                break
    return found


@dataclass
class Tally:
    """Of several visits together."""

    names: int = 0
    right: int = 0
    wrong: int = 0
    score: Score = field(default_factory=lambda: total([]))

    def add(self, expected: list[str], reference: str, text: str, known: set[str]) -> None:
        self.names += len(expected)
        self.right += right(expected, text).total()
        spoken = {spelling(word) for word in reference.split()} | {spelling(name) for name in expected}
        self.wrong += sum(word in known and word not in spoken for word in map(spelling, text.split()))
        self.score = total([self.score, score(reference, text)])

    def __str__(self) -> str:
        share = 100 * self.right / max(1, self.names)
        return f"{self.right} of {self.names} names right ({share:.1f} %), {self.wrong} wrong, WER {self.score.wer:.1f}"


def main(folder: str, model: str, vad: str) -> None:
    """Prints the tallies of the odd visits, which the rules were made on, and of the even ones."""
    vocabulary = parse((ROOT / "config" / "vocabulary.txt").read_text("utf-8"))
    known = {spelling(entry.name) for entry in vocabulary.entries}
    whisper = Whisper(Path(model), name="base", threads=1)
    detector = VoiceDetector(Path(vad))
    search = Search((Index(vocabulary),), ordinary_words(Path(model)))
    ways = {"without": committed(whisper, detector), "with": committed(whisper, detector, search=search)}
    tallies = {(half, way): Tally() for half in ("odd", "even") for way in ways}
    for number, turns in enumerate(visits()):
        path = Path(folder) / f"visit-{number:02}.flac"
        if not path.exists():
            continue
        audio = load(path)
        expected = [name for _, text in turns for name in names(text)]
        reference = " ".join(said(text) for _, text in turns)
        for way, decode in ways.items():
            tallies["even" if number % 2 else "odd", way].add(expected, reference, decode(audio), known)
    for (half, way), tally in tallies.items():
        print(half, way, tally, sep="\t")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:4])
