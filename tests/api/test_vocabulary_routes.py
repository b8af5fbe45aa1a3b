"""The clinic's names over REST, and a session's own with configure."""

from pathlib import Path

import pytest
from scripted import Engine, heard, silence, speech

from ambientd.core.audio import to_pcm16
from ambientd.glossary import Glossary


def glossary(path: Path, text: str) -> Glossary:
    path.write_text(text)
    return Glossary(path, specialities=(), ordinary=frozenset(["i", "take", "it"]))


async def test_the_names_in_force_are_listed_and_counted(open_box, tmp_path):
    box = await open_box(glossary=glossary(tmp_path / "names.txt", "Okonkwo\n[heart]\nEntresto\nLasix\n1\n"))

    async with box.http.get(box.url + "/api/v1/vocabulary") as answer:
        assert await answer.json() == {
            "count": 3,
            "specialities": {"heart": 2},
            "unusable_lines": 1,
            "names": ["Okonkwo", "Entresto", "Lasix"],
        }


async def test_a_changed_list_is_read_when_asked(open_box, tmp_path):
    path = tmp_path / "names.txt"
    box = await open_box(glossary=glossary(path, "Entresto"))
    path.write_text("Entresto\nLasix")

    async with box.http.post(box.url + "/api/v1/vocabulary/reload") as answer:
        assert (answer.status, (await answer.json())["count"]) == (200, 2)


async def test_a_list_that_cannot_be_read_leaves_what_was_in_force(open_box, tmp_path):
    path = tmp_path / "names.txt"
    box = await open_box(glossary=glossary(path, "Entresto"))
    path.write_bytes(b"\xff\xfe\x00")

    async with box.http.post(box.url + "/api/v1/vocabulary/reload") as answer:
        assert answer.status == 400
        assert (await answer.json())["code"] == "bad_vocabulary"
    async with box.http.get(box.url + "/api/v1/vocabulary") as answer:
        assert (await answer.json())["names"] == ["Entresto"]


async def test_only_the_box_itself_may_have_it_read(open_box, tmp_path):
    box = await open_box(glossary=glossary(tmp_path / "names.txt", "Entresto"))

    async with box.http.post(
        box.url + "/api/v1/vocabulary/reload", headers={"X-Forwarded-For": "10.0.0.7"}
    ) as answer:
        assert answer.status == 401


async def test_a_session_brings_names_of_its_own(open_box):
    engine = Engine(
        lambda request: heard(request, "I take zor bannicks"), certainty=lambda _said, _name: -0.1
    )
    box = await open_box(engine=engine)
    socket = await box.connect()
    await socket.receive_json()
    await socket.send_json({"type": "configure", "vocabulary": ["Zorbanix"]})
    assert (await socket.receive_json())["type"] == "configured"
    await socket.send_bytes(to_pcm16(speech(2)))
    await socket.send_bytes(to_pcm16(silence(1)))

    message = await socket.receive_json()

    assert (message["type"], message["text"]) == ("transcript", "I take Zorbanix")


@pytest.mark.parametrize(
    "names", ["Zorbanix", [1], ["1"], ["a\nb"], ["x" * 61], ["a b c d e f"], ["ab", "AB"], ["name"] * 201]
)
async def test_names_that_cannot_be_any_are_refused(box, names):
    socket = await box.connect()
    await socket.receive_json()

    await socket.send_json({"type": "configure", "vocabulary": names})

    message = await socket.receive_json()
    assert (message["type"], message["code"]) == ("error", "bad_vocabulary")
    assert "Zorbanix" not in message["message"]
