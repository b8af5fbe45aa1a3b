"""``/v1/audio/transcriptions``: what programs made for OpenAI's service get from the box."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import soundfile
from scripted import Engine
from served import Box, Open

from ambientd.api.models.recordings import CompatibleVerbose
from ambientd.core.compatible import verbose
from ambientd.core.decoding import Heard, Request
from ambientd.core.transcript import Line, Segment, Suggestion, Word

PATH = "/v1/audio/transcriptions"
DATA = Path(__file__).parent.parent / "data"


def recording(kind: str = "WAV", seconds: float = 4) -> bytes:
    audio = np.full(round(16_000 * seconds), 0.5, np.float32)
    audio += np.random.default_rng(1).normal(0, 0.01, len(audio)).astype(np.float32)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 16_000, 1, format=kind) as writer:
        for at in range(0, len(audio), 16_000):
            writer.write(audio[at : at + 16_000])
    return file.getvalue()


async def send(box: Box, body: bytes | None = None, **fields: str | list[str]):
    data = aiohttp.FormData()
    data.add_field("model", "whisper-1")
    for name, value in fields.items():
        for each in [value] if isinstance(value, str) else value:
            data.add_field(name, each)
    data.add_field("file", recording() if body is None else body, filename="visit.wav")
    async with box.http.post(box.url + PATH, data=data) as answer:
        text = await answer.text()
        return answer, (await answer.json() if answer.content_type == "application/json" else text)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
async def test_the_text_comes_with_the_answer(box: Box, kind: str):
    answer, told = await send(box, recording(kind))
    assert answer.status == 200
    assert told["text"].startswith("It hurts here.")
    assert told["usage"] == {"type": "duration", "seconds": 4 if kind != "MP3" else told["usage"]["seconds"]}


async def test_a_browsers_recording_is_heard(box: Box):
    answer, told = await send(box, (DATA / "names.webm").read_bytes())
    assert answer.status == 200
    assert told["usage"]["seconds"] == 21


async def test_text_and_subtitles_are_not_json(box: Box):
    text, told = await send(box, response_format="text")
    assert (text.content_type, told[:14]) == ("text/plain", "It hurts here.")
    _, told = await send(box, response_format="srt")
    assert told.startswith("1\n00:00:00,")
    vtt, told = await send(box, response_format="vtt")
    assert (vtt.content_type, told[:6]) == ("text/vtt", "WEBVTT")


async def test_verbose_json_has_segments_or_words_or_both(box: Box):
    _, told = await send(box, response_format="verbose_json")
    assert (told["task"], told["language"], told["duration"]) == ("transcribe", "english", 4.0)
    assert "words" not in told
    segment = told["segments"][0]
    assert segment.keys() == {
        "id",
        "seek",
        "start",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    }
    _, told = await send(box, response_format="verbose_json", **{"timestamp_granularities[]": ["word"]})
    assert "segments" not in told
    assert told["words"][0].keys() == {"word", "start", "end"}
    _, told = await send(
        box, response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]}
    )
    assert {"words", "segments"} <= told.keys()


async def test_verbose_json_tells_names_that_may_be_meant_or_were_put_in():
    word, other = Word("I", 0, 100, 0.9), Word("omeprazole", 100, 16_000, 0.9)
    mark = Suggestion(1, 2, "own prazole", "omeprazole", 0.9)
    line = Line(
        0,
        "I omeprazole",
        0,
        16_000,
        (Segment("I omeprazole", 0, 16_000, (word, other)),),
        0.9,
        "en",
        "scripted",
        1.0,
        corrections=(mark,),
    )
    told = verbose([line, replace(line, index=1)], language="en", samples=16_000, granularities=["segment"])

    assert [(each["word"], each["said"]) for each in told["corrections"]] == [
        (1, "own prazole"),
        (3, "own prazole"),
    ]
    assert CompatibleVerbose.model_validate(told).corrections
    assert "suggestions" not in told


async def test_language_by_code_or_name_and_the_end_of_the_prompt_reach_the_engine(box: Box):
    await send(box, language="Spanish", prompt="x" * 900 + "Hola.", temperature="0.3", hotwords="unknown")
    assert {request.language for request in box.engine.requests} == {"es"}
    (prompt,) = {request.prompt for request in box.engine.requests if request.prompt}
    assert prompt.endswith("Hola.")
    assert len(prompt) <= 800


async def test_it_is_a_session_like_any_other_and_its_reading_is_on_record(box: Box):
    answer, _ = await send(box)
    name = answer.headers["X-Request-Id"]
    async with box.http.get(f"{box.url}/api/v1/sessions/{name}") as stored:
        assert (await stored.json())["state"] == "ended"
    async with box.http.get(f"{box.url}/api/v1/audit") as audit:
        assert f'"transcript.read", "object": "{name}"' in (await audit.text()).replace(
            '":"', '": "'
        ).replace('","', '", "')


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"response_format": "yaml"}, "bad_format"),
        ({"language": "klingon"}, "bad_language"),
        ({"temperature": "hot"}, "bad_field"),
        ({"temperature": "2"}, "bad_field"),
        ({"timestamp_granularities[]": "word"}, "bad_field"),
        ({"response_format": "verbose_json", "timestamp_granularities[]": "letter"}, "bad_field"),
        ({"prompt": "a\0b"}, "bad_prompt"),
    ],
)
async def test_what_cannot_be_is_refused_in_their_shape(box: Box, fields: dict[str, str], code: str):
    answer, told = await send(box, **fields)
    assert answer.status == 400
    assert (told["error"]["code"], told["error"]["type"]) == (code, "invalid_request_error")
    assert told["error"]["message"]
    assert box.uploads.waiting == 0


async def test_what_is_no_recording_is_a_bad_request_there(box: Box):
    answer, told = await send(box, b"not audio")
    assert (answer.status, told["error"]["code"]) == (400, "bad_recording")


async def test_a_body_that_is_no_form_and_a_form_without_a_file_are_refused(box: Box):
    async with box.http.post(box.url + PATH, data=b"RIFF") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_form")
    form = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
    async with box.http.post(box.url + PATH, data=form) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_form")


async def test_a_full_queue_says_when_to_come_again(open_box: Open):
    box = await open_box(queue=1)
    with box.uploads.place():
        answer, told = await send(box)
    assert (answer.status, told["error"]["type"]) == (503, "server_error")
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_recording_broken_off_is_no_answer(open_box: Open):
    class Held(Engine):
        async def decode(self, request: Request) -> Heard:
            await asyncio.Event().wait()
            raise AssertionError

    box = await open_box(engine=Held())
    asking = asyncio.create_task(send(box))
    async with asyncio.timeout(10):
        while not box.uploads._uploads or not (upload := next(iter(box.uploads._uploads.values()))).at >= 0:
            await asyncio.sleep(0.02)
    await box.uploads.cancel(upload)
    answer, told = await asking
    assert (answer.status, told["error"]["type"]) == (500, "server_error")
    assert "not heard to its end" in told["error"]["message"]


async def test_there_is_no_other_route_and_it_says_so_in_their_shape(box: Box):
    async with box.http.post(f"{box.url}/v1/audio/translations") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_the_models_are_the_boxs_own_under_its_name_and_theirs(box: Box):
    async with box.http.get(f"{box.url}/v1/models") as answer:
        assert [each["id"] for each in (await answer.json())["data"]] == ["scripted", "whisper-1"]
    async with box.http.get(f"{box.url}/v1/models/whisper-1") as answer:
        assert (await answer.json())["object"] == "model"
    async with box.http.get(f"{box.url}/v1/models/other") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")
