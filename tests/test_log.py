"""The log: what is needed to look after the box, and never a word of a conversation."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ambientd import log
from ambientd.accesslog import AccessLog
from ambientd.errors import ConfigError, DecodeFailed, ModelError
from ambientd.trace import LAST_PLACES, trace

ROOT = Path(__file__).parent.parent
CANARY = "metoprolol"
SPOKEN = f"take {CANARY} twice a day"
logger = logging.getLogger("ambientd.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook, sys.unraisablehook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    log.set_up("DEBUG", "text", stream=stream, environ={})
    return stream


class TestLines:
    def test_a_record_is_time_level_name_words_and_facts(self, out: io.StringIO) -> None:
        logger.info("session opened", extra={"session": "abc-1", "live": 3, "seconds": 1.23456})
        (line,) = out.getvalue().splitlines()
        time, rest = line.split(" ", 1)
        assert rest == "INFO ambientd.test: session opened session=abc-1 live=3 seconds=1.235"
        assert time.endswith("Z")
        assert len(time) == len("2026-11-22T15:27:01.123Z")

    def test_the_level_is_the_least_that_is_printed(self) -> None:
        stream = io.StringIO()
        log.set_up("WARNING", "text", stream=stream, environ={})
        logger.info("quiet")
        logger.warning("loud")
        assert "quiet" not in stream.getvalue()
        assert "loud" in stream.getvalue()

    def test_setting_up_twice_does_not_print_twice(self, out: io.StringIO) -> None:
        log.set_up("INFO", "text", stream=out, environ={})
        logger.info("once")
        assert out.getvalue().count("once") == 1

    def test_json_is_one_object_a_line(self) -> None:
        stream = io.StringIO()
        log.set_up("INFO", "json", stream=stream, environ={})
        logger.info("session opened", extra={"session": "abc", "live": 3, "text": SPOKEN})
        error = ModelError("weights missing", hint="Fetch\nthem.")
        logger.error("failed", extra={"error": error}, exc_info=KeyError(SPOKEN))
        first, second = map(json.loads, stream.getvalue().splitlines())
        assert {k: v for k, v in first.items() if k != "time"} == {
            "level": "INFO",
            "logger": "ambientd.test",
            "message": "session opened",
            "session": "abc",
            "live": 3,
        }
        assert second["error"] == "ModelError: weights missing  Fetch\nthem."
        assert second["trace"][0] == "KeyError"
        assert CANARY not in stream.getvalue()

    def test_json_stays_json_when_a_token_is_blotted_out(self) -> None:
        stream = io.StringIO()
        log.set_up("INFO", "json", stream=stream, environ={})
        logger.warning("refused", extra={"error": ModelError('token=abc\\ "token=def" x')})
        assert "token=…" in json.loads(stream.getvalue())["error"]

    def test_the_journal_gets_priorities_and_no_time(self, tmp_path: Path) -> None:
        with (tmp_path / "journal").open("w+") as stream:
            status = os.fstat(stream.fileno())
            log.set_up(stream=stream, environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
            logger.info("session opened", extra={"live": 1})
            logger.error("failed", exc_info=ExceptionGroup(SPOKEN, [ValueError(SPOKEN)]))
            stream.seek(0)
            lines = stream.read().splitlines()
        assert lines[0] == "<6>ambientd.test: session opened live=1"
        assert lines[1] == "<3>ambientd.test: failed"
        assert len(lines) > 3
        assert all(line.startswith("<3>") for line in lines[1:])

    def test_a_variable_left_over_from_a_service_does_not_make_a_journal(self, tmp_path: Path) -> None:
        with (tmp_path / "elsewhere").open("w") as stream:
            assert not log.in_journal(stream, {"JOURNAL_STREAM": "8:1"})
            assert not log.in_journal(io.StringIO(), {"JOURNAL_STREAM": "8:1"})


class TestJournal:
    """Entries with fields, in place of marked lines, where systemd-python is there to send them."""

    @pytest.fixture
    def entries(self, tmp_path: Path) -> Iterator[list[dict[str, str]]]:
        sent: list[dict[str, str]] = []
        with (tmp_path / "journal").open("w") as stream:
            status = os.fstat(stream.fileno())
            where = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            log.set_up(stream=stream, environ=where, journal=lambda fields: sent.append(dict(fields)))
            yield sent
        assert (tmp_path / "journal").read_text() == ""

    def test_an_entry_has_the_words_the_place_and_each_fact(self, entries: list[dict[str, str]]) -> None:
        logger.warning("session refused", extra={"session": "abc-1", "live": 3})
        assert entries[0].pop("CODE_FILE").endswith("tests/test_log.py")
        assert int(entries[0].pop("CODE_LINE")) > 0
        assert entries == [
            {
                "MESSAGE": "ambientd.test: session refused session=abc-1 live=3",
                "PRIORITY": "4",
                "SYSLOG_IDENTIFIER": "ambientd",
                "LOGGER": "ambientd.test",
                "CODE_FUNC": "test_an_entry_has_the_words_the_place_and_each_fact",
                "AMBIENTD_SESSION": "abc-1",
                "AMBIENTD_LIVE": "3",
            }
        ]

    def test_nothing_said_gets_into_any_field(self, entries: list[dict[str, str]]) -> None:
        logger.info("heard %s", SPOKEN, extra={"text": SPOKEN, "TEXT": SPOKEN, "session": SPOKEN})
        logger.error(
            "failed token=%s", CANARY, extra={"error": KeyError(SPOKEN)}, exc_info=ValueError(SPOKEN)
        )
        logging.getLogger("sqlalchemy").error("row %s", SPOKEN, extra={"ROW": SPOKEN})
        logging.getLogger("asyncio").error(SPOKEN)
        assert len(entries) == 4
        assert CANARY not in repr(entries)
        assert entries[0]["AMBIENTD_SESSION"] == log.WITHHELD
        assert "ValueError" in entries[1]["MESSAGE"]

    def test_other_libraries_are_quiet_below_a_warning(self, entries: list[dict[str, str]]) -> None:
        logging.getLogger("aiohttp").info("connection %s", 1)
        assert entries == []

    def test_an_entry_that_cannot_be_sent_is_told(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        def full(_fields: object) -> None:
            raise OSError(28, SPOKEN)

        with (tmp_path / "journal").open("w") as stream:
            status = os.fstat(stream.fileno())
            where = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            log.set_up(stream=stream, environ=where, journal=full)
            logger.info("session opened")
        told = capsys.readouterr().err
        assert "a log record was lost: OSError" in told
        assert CANARY not in told

    def test_every_fact_makes_a_field_that_the_journal_takes(self) -> None:
        """Upper case, digits and underscores, at most 64.  Source: journald's journal_field_valid()."""
        for name in log.FACTS:
            assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", f"AMBIENTD_{name.upper()}")


class TestAllowed:
    def test_facts_that_are_not_on_the_list_are_not_printed(self, out: io.StringIO) -> None:
        logger.info("heard", extra={"text": CANARY, "prompt": CANARY, "words": [CANARY], "live": 1})
        assert out.getvalue().endswith("heard live=1\n")

    @pytest.mark.parametrize(
        ("fact", "shown"),
        [
            (5, "5"),
            (True, "True"),
            (None, "None"),
            (0.12345, "0.123"),
            ("abc.d-1_2", "abc.d-1_2"),
            (Path("/a b/c"), '"/a b/c"'),
            (("AVX2", "FMA"), "AVX2,FMA"),
            (log.Vouched("two words"), '"two words"'),
            (ModelError("no weights"), '"ModelError: no weights"'),
            (DecodeFailed("timed out"), '"DecodeFailed: timed out"'),
            (ConfigError(["a.b: wrong"]), '"ConfigError: the settings are faulty:\\n  a.b: wrong"'),
            (OSError(28, SPOKEN, CANARY), '"OSError ENOSPC"'),
            (KeyError(CANARY), "KeyError"),
            (SPOKEN, "(withheld)"),
            (SPOKEN.replace(" ", "\n"), "(withheld)"),
            (SPOKEN.replace(" ", "\N{NO-BREAK SPACE}"), "(withheld)"),
            (CANARY * 20, "(withheld)"),
            ([SPOKEN], "(withheld)"),
            (CANARY.encode(), "(withheld)"),
            ({"text": CANARY}, "(withheld)"),
            (ast.Name(CANARY), "(withheld)"),
        ],
    )
    def test_a_fact_is_a_number_a_path_a_word_or_our_own_error(
        self, out: io.StringIO, fact: object, shown: str
    ) -> None:
        logger.info("event", extra={"reason": fact})
        assert out.getvalue().endswith(f"event reason={shown}\n")

    def test_arguments_of_the_message_pass_the_same_gate(self, out: io.StringIO) -> None:
        logger.info("from %s to %s in %d s", "0001", SPOKEN, 3)
        logger.info("heard %(model)s", {"model": SPOKEN})
        assert "from 0001 to (withheld) in 3 s\n" in out.getvalue()
        assert "heard (withheld)\n" in out.getvalue()

    def test_a_message_that_does_not_fit_its_arguments_is_printed_without_them(self) -> None:
        record = logging.LogRecord("ambientd", logging.INFO, "here.py", 1, "%d pieces", (SPOKEN,), None)
        assert log.TextForm(to_journal=True).format(record) == "<6>ambientd: %d pieces"

    def test_a_line_cannot_be_forged(self, out: io.StringIO) -> None:
        logger.info("event", extra={"session": "x\n2026 CRITICAL ambientd: forged"})
        logger.info("event", extra={"error": ModelError("x\n2026 CRITICAL ambientd: forged")})
        assert len(out.getvalue().splitlines()) == 2

    def test_tokens_are_blotted_out_wherever_they_come_from(self, out: io.StringIO) -> None:
        logger.info("event", extra={"url": "ws://box/ws?token=s3cret&x=1"})
        logger.info("event", extra={"error": ModelError("GET /?api_key=s3cret failed")})
        assert "s3cret" not in out.getvalue()
        assert "token=…&x=1" in out.getvalue()

    def test_no_fact_has_a_name_that_logging_keeps_for_itself(self) -> None:
        record = logging.makeLogRecord({})
        assert log.FACTS.isdisjoint(vars(record).keys() | {"message", "asctime", "taskName"})
        assert log.FACTS.isdisjoint({"time", "level", "logger", "trace"})


class TestExceptions:
    def test_a_strange_exception_is_its_type_and_where_it_passed_at_every_level(
        self, out: io.StringIO
    ) -> None:
        def decode() -> None:
            raise ValueError(SPOKEN)

        try:
            decode()
        except ValueError:
            logger.exception("failed")
            logger.debug("failed", exc_info=True)
        assert "ValueError\n" in out.getvalue()
        assert "in TestExceptions.test_a_strange_exception" in out.getvalue()
        assert "tests/test_log.py:" in out.getvalue()
        assert CANARY not in out.getvalue()

    def test_causes_are_followed_and_say_no_more(self, out: io.StringIO) -> None:
        try:
            try:
                sqlite3.connect(":memory:").execute(f"select {CANARY}")
            except sqlite3.OperationalError as error:
                raise ModelError("cannot read the catalogue") from error
        except ModelError:
            logger.exception("failed")
        text = out.getvalue()
        assert "ModelError: cannot read the catalogue" in text
        assert "after:\nsqlite3.OperationalError SQLITE_ERROR" in text
        assert CANARY not in text

    def test_notes_groups_and_rings_are_safe(self, out: io.StringIO) -> None:
        one, other = ValueError(SPOKEN), KeyError(SPOKEN)
        one.add_note(SPOKEN)
        one.__cause__, other.__cause__ = other, one
        logger.error("failed", exc_info=ExceptionGroup(SPOKEN, [one, TypeError(SPOKEN)]))
        text = out.getvalue()
        assert text.count("ValueError") == 1
        assert text.count("TypeError") == 1
        assert text.count("KeyError") == 1
        assert CANARY not in text

    def test_endless_recursion_is_cut_to_its_end(self) -> None:
        def deeper(depth: int) -> None:
            if depth == 0:
                raise RecursionError
            deeper(depth - 1)

        with pytest.raises(RecursionError) as caught:
            deeper(200)
        assert len(trace(caught.value)) == LAST_PLACES + 1

    def test_what_nobody_catches_goes_the_same_way(self, out: io.StringIO) -> None:
        def fail() -> None:
            raise ValueError(SPOKEN)

        thread = threading.Thread(target=fail, name="lane-1")
        thread.start()
        thread.join()
        try:
            fail()
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        text = out.getvalue()
        assert "ERROR ambientd: unexpected error in a thread in_thread=lane-1\nValueError\n" in text
        assert "CRITICAL ambientd: unexpected error\nValueError\n" in text
        assert CANARY not in text

    def test_a_finaliser_that_fails_goes_the_same_way(self, out: io.StringIO) -> None:
        class Careless:
            def __del__(self) -> None:
                raise ValueError(SPOKEN)

            def __repr__(self) -> str:
                return SPOKEN

        Careless()
        assert "unexpected error where none can be raised\nValueError" in out.getvalue()
        assert CANARY not in out.getvalue()

    def test_a_record_that_cannot_be_written_is_told_without_its_words(
        self, out: io.StringIO, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out.close()
        logger.error("failed", extra={"reason": CANARY})
        told = capsys.readouterr().err
        assert told.startswith("a log record was lost: ValueError at test_log:")
        assert CANARY not in told


class TestOthers:
    def test_other_libraries_say_only_what_went_wrong(self, out: io.StringIO) -> None:
        logging.getLogger("aiosqlite").debug("executing %s", SPOKEN)
        logging.getLogger("some.library").info(SPOKEN)
        assert out.getvalue() == ""
        logging.getLogger("some.library").warning("retry of %s", SPOKEN)
        logging.getLogger("some.library").warning(SPOKEN)
        first, second = out.getvalue().splitlines()
        assert "WARNING some.library: retry of %s at=test_log:" in first
        assert "WARNING some.library: (withheld) at=test_log:" in second
        assert CANARY not in out.getvalue()

    def test_a_library_cannot_pass_for_ours_by_its_name(self, out: io.StringIO) -> None:
        logging.getLogger("ambientdfake").warning(SPOKEN)
        assert CANARY not in out.getvalue()

    async def test_a_task_that_fails_unseen_is_told_without_its_message(self, out: io.StringIO) -> None:
        async def fail() -> None:
            raise ValueError(SPOKEN)

        task = asyncio.create_task(fail(), name="session")
        await asyncio.wait([task])
        del task
        assert "ERROR asyncio: (withheld) at=" in out.getvalue()
        assert "\nValueError\n" in out.getvalue()
        assert CANARY not in out.getvalue()


class TestAccess:
    @staticmethod
    async def ask(path: str, **options: Any) -> int:
        async def good(_request: web.Request) -> web.Response:
            return web.Response(text="ok")

        async def bad(_request: web.Request) -> web.Response:
            raise web.HTTPConflict(text=SPOKEN)

        async def worse(_request: web.Request) -> web.Response:
            raise ValueError(SPOKEN)

        app = web.Application()
        app.add_routes([web.get("/good/{name}", good), web.get("/bad/{name}", bad), web.get("/worse", worse)])
        runner = web.AppRunner(app, **options)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{port}{path}", headers={"User-Agent": SPOKEN}) as answer,
            ):
                return answer.status
        finally:
            await runner.cleanup()

    async def test_a_failed_request_is_its_route_and_never_its_address(self, out: io.StringIO) -> None:
        status = await self.ask(f"/bad/{CANARY}?token={CANARY}", access_log_class=AccessLog)
        assert status == 409
        (line,) = out.getvalue().splitlines()
        assert " INFO ambientd.access: request method=GET route=/bad/{name} status=409 bytes=" in line
        assert "remote=127.0.0.1" in line
        assert CANARY not in line

    async def test_an_unknown_address_is_not_repeated(self, out: io.StringIO) -> None:
        assert await self.ask(f"/{CANARY}?token={CANARY}", access_log_class=AccessLog) == 404
        assert "route=None status=404" in out.getvalue()
        assert CANARY not in out.getvalue()

    async def test_a_good_request_is_printed_only_at_debug(self, out: io.StringIO) -> None:
        assert await self.ask("/good/x", access_log_class=AccessLog) == 200
        assert " DEBUG ambientd.access: request method=GET route=/good/{name} status=200" in out.getvalue()
        log.set_up("INFO", "text", stream=out, environ={})
        out.truncate(0)
        assert await self.ask("/good/x", access_log_class=AccessLog) == 200
        assert "request" not in out.getvalue()

    async def test_aiohttps_own_logs_cannot_give_away_an_address_or_a_message(self, out: io.StringIO) -> None:
        assert await self.ask(f"/bad/x?token={CANARY}") == 409
        assert await self.ask(f"/worse?token={CANARY}") == 500
        assert "ERROR aiohttp.server: " in out.getvalue()
        assert "ValueError" in out.getvalue()
        assert CANARY not in out.getvalue()


LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in our code, and where it is."""
    for path in sorted((ROOT / "ambientd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"log", "logger"}
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


@pytest.mark.parametrize(("where", "call"), [pytest.param(*found, id=found[0]) for found in calls()])
def test_every_record_in_the_code_follows_the_rules(where: str, call: ast.Call) -> None:
    """Constant words; facts by listed names; an error as itself, since its text alone would be withheld."""
    assert isinstance(call.args[0], ast.Constant), f"{where}: the message must be constant words"
    assert isinstance(call.args[0].value, str)
    for keyword in call.keywords:
        if keyword.arg == "extra":
            assert isinstance(keyword.value, ast.Dict), f"{where}: write the facts where they are logged"
            for name, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                assert isinstance(name, ast.Constant)
                assert isinstance(name.value, str)
                assert name.value in log.FACTS, (
                    f"{where}: {name.value} is not in log.FACTS and is not printed"
                )
                text = ast.unparse(value)
                assert not text.endswith(".message"), f"{where}: pass the error itself as error="
                assert not text.startswith(("str(", "repr(", "f'", 'f"')), f"{where}: {text} may be withheld"
