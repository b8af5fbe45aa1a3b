"""Answers about the parts of one conversation become one list."""

from __future__ import annotations

from ambientd.core.answers import Answer, Question, joined, missing


def answer(question: str, text: str | None, confidence: float = 0.5, *, confident: bool = False) -> Answer:
    return Answer(question, f"{question}?", "medications", text, confidence, None, confident, not confident)


def test_the_most_certain_part_answers() -> None:
    found = joined(
        [
            (0, answer("dose", "2.5 mg", 0.9)),
            (0, answer("allergy", None, 0.99, confident=True)),
            (1, answer("dose", "5 mg", 0.6, confident=True)),
            (1, answer("allergy", "penicillin", 0.1)),
        ]
    )

    assert [(each.best.question_id, each.best.answer, each.part) for each in found] == [
        ("dose", "5 mg", 1),
        ("allergy", "penicillin", 1),
    ]


def test_what_other_parts_say_differently_is_kept() -> None:
    """A dose may have been corrected in the course of the talk."""
    found = joined(
        [
            (0, answer("dose", "2.5 mg", 0.6)),
            (1, answer("dose", "5 mg", 0.9)),
            (2, answer("dose", "5 mg", 0.1)),
        ]
    )

    assert [each.answer for each in found[0].others] == ["2.5 mg"]


def test_of_equally_certain_answers_the_last_counts() -> None:
    assert joined([(0, answer("dose", "2.5 mg")), (1, answer("dose", "5 mg"))])[0].best.answer == "5 mg"


def test_missing_is_what_was_asked_and_not_answered() -> None:
    asked = [Question("dose", "dose?", "medications"), Question("pain", "pain?", "assessment")]
    found = joined([(0, answer("dose", "5 mg")), (0, answer("allergy", None))])

    assert [question.id for question in missing(found, asked)] == ["allergy", "pain"]
