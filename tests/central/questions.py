"""The predefined questions, one of each category, and the words that give an answer away."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    question: str
    category: str
    cues: tuple[str, ...]
    """Parts of sentences, lower case."""
    asked: bool = True
    """Whether the answer to a question with such a cue is the sentence after it."""

    def public(self) -> dict[str, str]:
        return {"id": self.id, "question": self.question, "category": self.category}


PREDEFINED = (
    Question(
        "name",
        "How is the patient called?",
        "patient_info",
        ("mr. ", "mrs. ", "ms. ", "name is"),
        asked=False,
    ),
    Question(
        "complaint",
        "What brought the patient here?",
        "medical_history",
        ("pain", "burning", "cough", "fever", "hurt", "dizz", "tired", "short of breath", "since"),
    ),
    Question(
        "medication",
        "What does the patient take?",
        "medications",
        ("milligram", "tablet", "taking", "take ", "dose", "daily", "insulin"),
    ),
    Question("allergy", "Is the patient allergic to anything?", "allergies", ("allerg", "rash", "reaction")),
    Question(
        "findings",
        "What was measured or examined?",
        "assessment",
        ("blood pressure", "pulse", "temperature", "weight", "listen to", "pounds", "scale of"),
    ),
    Question(
        "diagnosis",
        "What is the diagnosis?",
        "diagnosis",
        ("diagnos", "looks like", "sounds like", "ulcer", "infection", "gastritis"),
    ),
    Question(
        "plan",
        "How is it treated?",
        "treatment",
        ("start ", "stop ", "prescrib", "i'd like you to", "milligram", "twice", "once daily"),
    ),
    Question(
        "home", "What is the patient to do at home?", "discharge", ("at home", "avoid", "rest", "drink")
    ),
    Question(
        "next_visit",
        "When is the next visit?",
        "follow_up",
        ("come back", "follow up", "see you", "next week", "in a week", "in two weeks", "call us"),
    ),
    Question(
        "procedure",
        "Which procedures are planned or done?",
        "procedures",
        ("blood test", "x-ray", "scan", "endoscopy", "breath test", "biopsy", "test"),
    ),
    Question(
        "exercise", "Is there physiotherapy or exercise?", "rehabilitation", ("physio", "exercis", "walk")
    ),
    Question(
        "view",
        "What does the patient think of it?",
        "patient_feedback",
        ("thank", "worried", "happy", "safe"),
    ),
)

CATEGORIES = frozenset(question.category for question in PREDEFINED)

_END = re.compile(r"(?<=[.?!])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)\s+")


def sentences(text: str) -> list[str]:
    return [said for said in _END.split(text.strip()) if said]


def answer(question: Question, text: str) -> dict[str, object]:
    """The sentence with the most cues; the reply instead where that sentence is itself a question.

    The confidence is the rule's: each further cue makes it surer, a reply less so; nothing found is 0.
    """
    said = sentences(text)
    best, most = -1, 0
    for place, sentence in enumerate(said):
        hits = sum(cue in sentence.lower() for cue in question.cues)
        if hits > most:
            best, most = place, hits
    found: str | None = None
    snippet: str | None = None
    confidence = 0.0
    if best >= 0:
        reply = question.asked and said[best].endswith("?") and best + 1 < len(said)
        found = said[best + 1] if reply else said[best]
        snippet = f"{said[best]} {found}" if reply else found
        confidence = min(0.95, 0.5 + 0.15 * most) - (0.1 if reply else 0.0)
    return {
        "question_id": question.id,
        "question_text": question.question,
        "category": question.category,
        "answer_text": found,
        "confidence_score": round(confidence, 2),
        "context_snippet": snippet,
        "model_used": "rules",
        "is_confident": confidence >= 0.6,
        "is_manual_review_required": confidence < 0.6,
    }


def custom(asked: dict[str, str]) -> Question:
    """A question of the box's own: its longer words are its cues."""
    words = re.findall(r"[a-z]{5,}", asked["question"].lower())
    return Question(asked["id"], asked["question"], asked["category"], tuple(words))
