"""What the centre answers about a conversation, and how the answers about its parts become one list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CATEGORIES: Final = (
    "patient_info",
    "medical_history",
    "medications",
    "allergies",
    "assessment",
    "diagnosis",
    "treatment",
    "discharge",
    "follow_up",
    "procedures",
    "rehabilitation",
    "patient_feedback",
)
"""What a question may be about.  Source: the central server's list; it refuses others."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question that the centre is asked about every conversation."""

    id: str
    question: str
    category: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The centre's answer to one question about one part of a conversation."""

    question_id: str
    question: str
    category: str
    answer: str | None
    """``None``: nothing was found."""
    confidence: float
    """In [0, 1], by the centre's own measure."""
    snippet: str | None
    """The passage it was taken from."""
    confident: bool
    review: bool
    """A person should check it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One question with the best answer of all parts."""

    best: Answer
    part: int
    """Where it was found, counted from 0."""
    others: tuple[Answer, ...] = ()
    """What other parts say that is different: a dose may have been corrected later in the talk."""


def joined(parts: Iterable[tuple[int, Answer]]) -> list[Joined]:
    """One entry a question, in the order in which they first appear; ``parts`` are (part, answer)."""
    by_question: dict[str, list[tuple[int, Answer]]] = {}
    for part, answer in parts:
        by_question.setdefault(answer.question_id, []).append((part, answer))
    found = []
    for entries in by_question.values():
        # A later part wins a draw: what was said last is what was agreed.
        part, best = max(entries, key=lambda entry: (_worth(entry[1]), entry[0]))
        others = tuple(
            {
                answer.answer: answer for _, answer in entries if answer.answer not in {None, best.answer}
            }.values()
        )
        found.append(Joined(best, part, others))
    return found


def missing(answers: Iterable[Joined], asked: Iterable[Question]) -> list[Question]:
    """The questions that were asked and have no answer."""
    answered: set[str] = set()
    unanswered: dict[str, Question] = {}
    for entry in answers:
        best = entry.best
        if best.answer is None:
            unanswered[best.question_id] = Question(best.question_id, best.question, best.category)
        else:
            answered.add(best.question_id)
    for question in asked:
        if question.id not in answered:
            unanswered.setdefault(question.id, question)
    return list(unanswered.values())


def _worth(answer: Answer) -> tuple[bool, bool, float]:
    return answer.answer is not None, answer.confident, answer.confidence
