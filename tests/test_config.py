"""Settings: one order of sources, every fault told at once, and documents that cannot drift from the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from ambientd.config import Settings, doubts, layers, load, load_as, pages
from ambientd.config.faults import fields, quoted, unit
from ambientd.config.kinds import Packaged, Table
from ambientd.config.rules import RULES
from ambientd.config.tables import SEED_NAMES
from ambientd.core.languages import LANGUAGES
from ambientd.core.suspects import Index, Search
from ambientd.core.vocabulary import parse
from ambientd.errors import ConfigError

ROOT = Path(__file__).parent.parent
HOME = {"HOME": "/home/box"}
ALL = fields(Settings)
NUMBERS = {place: field for place, field in ALL.items() if field.annotation in (int, float)}


@pytest.fixture(autouse=True)
def _no_system_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "SYSTEM_FILE", Path("/nonexistent/ambientd.toml"))
    monkeypatch.setattr(layers, "INSTALLATION_FILE", Path("/nonexistent/installation.toml"))
    monkeypatch.setattr(layers, "STATE_OF_ROOT", Path("/nonexistent/state"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "ambientd.toml"


def faults(file: Path | None = None, /, **variables: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, HOME | variables)
    return caught.value.faults


class TestOrder:
    def test_without_file_and_environment_every_setting_has_its_default(self) -> None:
        settings = load(environ=HOME)
        for (table, key), field in ALL.items():
            if not any(isinstance(mark, Packaged) for mark in field.metadata):
                assert getattr(getattr(settings, table), key) == field.get_default()
                assert settings.origin(table, key) == "default"

    def test_the_file_beats_the_default_and_the_environment_beats_the_file(self, file: Path) -> None:
        file.write_text("[server]\nport = 8001\nmax_connections = 7\n")
        settings = load(file, HOME | {"AMBIENTD_SERVER__PORT": "8002"})
        assert (settings.server.port, settings.server.max_connections) == (8002, 7)
        assert settings.server.host == "127.0.0.1"
        assert settings.origin("server", "port") == "environment AMBIENTD_SERVER__PORT"
        assert settings.origin("server", "max_connections") == str(file)
        assert settings.origin("server", "host") == "default"

    def test_the_command_line_beats_the_variable_which_beats_the_system_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named, variable, system = (tmp_path / name for name in ("named.toml", "variable.toml", "system.toml"))
        for number, each in enumerate((named, variable, system), 1):
            each.write_text(f"[server]\nport = {number}\n")
        environ = HOME | {"AMBIENTD_CONFIG": str(variable)}
        monkeypatch.setattr(layers, "SYSTEM_FILE", system)
        assert load(named, environ).server.port == 1
        assert load(None, environ).server.port == 2
        assert load(None, HOME).server.port == 3

    def test_the_installation_answers_what_the_system_s_file_leaves_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system, answers = tmp_path / "ambientd.toml", tmp_path / "installation.toml"
        monkeypatch.setattr(layers, "SYSTEM_FILE", system)
        monkeypatch.setattr(layers, "INSTALLATION_FILE", answers)
        answers.write_text('[box]\nid = "box-7"\nroom = "Exam 3"\n')
        assert load(None, HOME).box.id == "box-7"

        system.write_text('[box]\nroom = "Exam 4"\n')
        both = load(None, HOME)
        assert (both.box.id, both.origin("box", "id")) == ("box-7", str(answers))
        assert (both.box.room, both.origin("box", "room")) == ("Exam 4", str(system))

        answers.write_text("[box]\nid = 7\n")
        assert str(answers) in faults()[0]

    def test_who_names_a_file_means_it_without_the_installation_s_answers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named, answers = tmp_path / "mine.toml", tmp_path / "installation.toml"
        monkeypatch.setattr(layers, "INSTALLATION_FILE", answers)
        answers.write_text('[box]\nid = "box-7"\n')
        named.write_text("[server]\nport = 1\n")
        assert load(named, HOME).box.id == ""

    @pytest.mark.parametrize(("name", "place"), SEED_NAMES.items())
    def test_every_name_of_the_older_system_sets_its_setting(self, name: str, place: tuple[str, str]) -> None:
        value = {"WEBSOCKET_WHISPER_MODEL": "tiny.en", "LOG_LEVEL": "debug", "WEBSOCKET_CHANNELS": "2"}.get(
            name
        )
        value = value or {"WEBSOCKET_AUDIO_BUFFER_SIZE": "4096", "WEBSOCKET_SAMPLE_RATE": "44100"}.get(
            name, "1.0"
        )
        value = "1" if ALL[place].annotation is int and value == "1.0" else value
        settings = load(environ=HOME | {name: value})
        effective = getattr(getattr(settings, place[0]), place[1])
        assert str(effective).lower() == str(type(effective)(value)).lower()
        assert settings.origin(*place) == f"environment {name}"

    def test_the_older_systems_whole_documented_environment_is_accepted(self) -> None:
        settings = load(
            environ=HOME
            | {
                "WEBSOCKET_MAX_CONNECTIONS": "100",
                "WEBSOCKET_HEARTBEAT_INTERVAL": "30",
                "WEBSOCKET_CHUNK_TIMEOUT": "10",
                "WEBSOCKET_MAX_SESSION_DURATION": "7200",
                "WEBSOCKET_AUDIO_BUFFER_SIZE": "8192",
                "WEBSOCKET_SAMPLE_RATE": "16000",
                "WEBSOCKET_CHANNELS": "1",
                "WEBSOCKET_CHUNK_DURATION": "2.0",
                "WEBSOCKET_OVERLAP_DURATION": "0.5",
                "WEBSOCKET_WHISPER_MODEL": "base",
            }
        )
        assert settings.segmentation.chunk_duration == 2.0

    def test_two_names_of_one_setting_may_agree_but_not_disagree(self) -> None:
        agreed = {"LOG_LEVEL": "info", "AMBIENTD_LOG__LEVEL": "INFO"}
        assert load(environ=HOME | agreed).log.level == "INFO"
        (fault,) = faults(LOG_LEVEL="DEBUG", AMBIENTD_LOG__LEVEL="INFO")
        assert fault.startswith("log.level: ")
        assert "AMBIENTD_LOG__LEVEL and LOG_LEVEL disagree" in fault

    def test_other_programs_variables_are_not_read(self) -> None:
        assert load(environ=HOME | {"SERVER": '{"port": 1}', "PORT": "2", "LOG": "x"}).server.port == 8000

    def test_settings_cannot_be_changed(self) -> None:
        settings = load(environ=HOME)
        with pytest.raises(ValidationError, match="frozen"):
            settings.server.port = 1


class TestDirectories:
    @pytest.mark.parametrize(
        ("environ", "state"),
        [
            ({"STATE_DIRECTORY": "/var/lib/box", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/box"),
            ({"STATE_DIRECTORY": "/first:/second"}, "/first"),
            ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/ambientd"),
            ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/ambientd"),
        ],
    )
    def test_the_state_is_where_the_machine_keeps_it(self, environ: dict[str, str], state: str) -> None:
        settings = load(environ=environ)
        assert settings.store.directory == Path(state)
        assert settings.models.directory == Path(state) / "models"
        assert settings.origin("store", "directory").startswith("default, from $")

    def test_root_shares_the_packaged_services_state(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(layers, "STATE_OF_ROOT", tmp_path)
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert load(environ=HOME).store.directory == tmp_path
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        assert load(environ=HOME).store.directory == Path("/home/box/.local/state/ambientd")

    def test_models_move_with_the_store_unless_set(self) -> None:
        moved = HOME | {"AMBIENTD_STORE__DIRECTORY": "/data"}
        assert load(environ=moved).models.directory == Path("/data/models")
        assert load(environ=moved | {"AMBIENTD_MODELS__DIRECTORY": "/m"}).models.directory == Path("/m")

    def test_without_a_home_the_store_must_be_set(self) -> None:
        with pytest.raises(ConfigError, match=r"store\.directory: no home directory"):
            load(environ={})
        assert load(environ={"AMBIENTD_STORE__DIRECTORY": "/data"}).store.directory == Path("/data")

    def test_a_relative_path_is_refused(self) -> None:
        (fault,) = faults(AMBIENTD_STORE__DIRECTORY="data")
        assert fault.startswith("store.directory: must be an absolute path")


def bound(field: FieldInfo, kind: type, name: str) -> Any:
    return next((getattr(mark, name) for mark in field.metadata if isinstance(mark, kind)), None)


def wrong_toml(field: FieldInfo) -> st.SearchStrategy[str]:
    """TOML values that this setting can never have: of another type, or out of range."""
    words = st.from_regex(r"[a-z]{1,12}", fullmatch=True)
    truths = [] if field.annotation is bool else ["true", "false"]
    choices = [st.sampled_from([*truths, "[]", "[8]", "{}", "{ a = 1 }", "2026-11-22", "12:30:00"])]
    if field.annotation in (int, float):
        choices += [
            words.map(quoted),
            st.integers().map(lambda n: f'"{n}"'),
            st.sampled_from(["nan", "inf", "-inf"]),
        ]
        low, high = bound(field, annotated_types.Ge, "ge"), bound(field, annotated_types.Le, "le")
        choices += [
            st.integers(max_value=-1).map(lambda n: str(int(low) + n)),
            st.integers(1).map(lambda n: str(int(high) + n)),
        ]
    else:
        choices += [st.integers().map(str), st.floats(allow_nan=False).map(quoted), st.just('"\\u0000"')]
    if field.annotation is int:
        choices.append(st.floats(allow_nan=False).map(quoted))
    if get_origin(field.annotation) is Literal:
        choices.append(
            words.filter(lambda w: w.upper() not in map(str.upper, get_args(field.annotation))).map(quoted)
        )
    return st.one_of(choices)


class TestFaults:
    @examples(deadline=None)  # the machine may be busy with other things
    @given(st.data(), st.sampled_from(sorted(ALL)))
    def test_any_single_wrong_value_in_the_file_is_told_by_table_and_key(
        self, file: Path, data: st.DataObject, place: tuple[str, str]
    ) -> None:
        table, key = place
        file.write_text(f"[{table}]\n{key} = {data.draw(wrong_toml(ALL[place]))}\n")
        (fault,) = faults(file)
        assert fault.startswith(f"{table}.{key}: must ")
        assert fault.endswith(f"({file})")

    @examples(deadline=None)  # the machine may be busy with other things
    @given(st.sampled_from(sorted(NUMBERS)), st.from_regex(r"[a-z ]{0,12}", fullmatch=True))
    def test_any_text_that_is_no_number_is_told_with_its_variable(
        self, place: tuple[str, str], text: str
    ) -> None:
        name = layers.variable(*place)
        (fault,) = faults(**{name: text})
        assert fault.startswith(f"{place[0]}.{place[1]}: must be a ")
        assert fault.endswith(f"(environment {name})")

    def test_all_faults_of_all_sources_are_told_at_once(self, file: Path) -> None:
        file.write_text(
            '[server]\nport = 80000\nprot = 1\n[segmentation]\noverlap_duration = 1.5\n[engine]\nlanguage = "xx"\n'
        )
        told = faults(file, WEBSOCKET_CHANELS="2", WEBSOCKET_CHUNK_DURATION="1", AMBIENTD_LOG__FORMAT="xml")
        assert [fault.split(":")[0] for fault in told] == [
            "WEBSOCKET_CHANELS",
            "log.format",
            "server.port",
            "server.prot",
            "engine.language",
            "segmentation.overlap_duration",
        ]

    def test_a_wrong_value_in_the_file_is_told_even_where_a_variable_overrides_it(self, file: Path) -> None:
        file.write_text("[server]\nport = 0.5\n")
        (fault,) = faults(file, AMBIENTD_SERVER__PORT="8001")
        assert fault == f"server.port: must be a whole number, not 0.5 ({file})"

    def test_what_is_no_quantity_is_told_as_such(self) -> None:
        (fault,) = faults(AMBIENTD_SEGMENTATION__PAUSE="nan")
        assert fault.startswith("segmentation.pause: must be a finite number, not nan")

    def test_limits_are_told_with_their_unit(self) -> None:
        (fault,) = faults(WEBSOCKET_HEARTBEAT_INTERVAL="0")
        assert fault.startswith("server.heartbeat_interval: must be at least 0.1 s, not 0.0")

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("[server]\nprot = 1", "server.prot: unknown setting; did you mean port?"),
            ("[server]\nlanguage = 1", "server.language: unknown setting; did you mean engine.language?"),
            ("[server]\nzzz = 1", "server.zzz: unknown setting ("),
            ("[sever]\nport = 1", "sever: unknown table; did you mean server?"),
            ("port = 1", "port: unknown table; did you mean server.port or lan.port?"),
            ("directory = 1", "directory: unknown table; did you mean models.directory or store.directory?"),
            ("server = 1", "server: must be a table that begins with [server]"),
            ("[[server]]\nport = 1", "server: must be a table that begins with [server]"),
        ],
    )
    def test_what_is_unknown_is_told_with_what_was_meant(self, file: Path, text: str, told: str) -> None:
        file.write_text(text)
        (fault,) = faults(file)
        assert fault.startswith(told)

    def test_a_variable_like_none_of_ours_is_told_without_a_guess(self) -> None:
        assert faults(AMBIENTD_X="1") == ["AMBIENTD_X: unknown variable (environment)"]

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("AMBIENTD_SERVER_PORT", "AMBIENTD_SERVER__PORT"),
            ("ambientd_server__port", "AMBIENTD_SERVER__PORT"),
            ("WEBSOCKET_CHANELS", "WEBSOCKET_CHANNELS"),
            ("AMBIENTD_CONFG", "AMBIENTD_CONFIG"),
        ],
    )
    def test_a_misspelt_variable_is_told_with_what_was_meant(self, name: str, meant: str) -> None:
        assert faults(**{name: "1"}) == [f"{name}: unknown variable; did you mean {meant}? (environment)"]

    def test_a_syntax_error_is_told_with_its_line(self, file: Path) -> None:
        file.write_text('[server]\nhost = "127.0.0.1\n')
        (fault,) = faults(file)
        assert fault.startswith(f"{file}: is not valid TOML: ")
        assert "line 2" in fault

    def test_text_in_another_encoding_is_told_with_its_line(self, file: Path) -> None:
        file.write_bytes('[engine]\n\nprompt = "Müller"\n'.encode("latin-1"))
        assert faults(file) == [f"{file}: is not UTF-8 text (at line 3)"]

    def test_a_number_beyond_all_measure_is_a_fault_and_no_crash(self, file: Path) -> None:
        file.write_text(f"[server]\nport = {'9' * 5000}\n")
        assert len(faults(file)) == 1

    def test_a_byte_order_mark_does_no_harm(self, file: Path) -> None:
        file.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 8001\r\n")
        assert load(file, HOME).server.port == 8001

    def test_a_named_file_must_be_there_and_be_a_file(self, tmp_path: Path) -> None:
        assert faults(tmp_path / "no.toml") == [
            f"{tmp_path}/no.toml: cannot be read: No such file or directory"
        ]
        assert faults(AMBIENTD_CONFIG=str(tmp_path)) == [f"{tmp_path}: cannot be read: Is a directory"]

    def test_faults_of_the_environment_are_told_beside_an_unreadable_file(self, tmp_path: Path) -> None:
        assert len(faults(tmp_path / "no.toml", AMBIENTD_SERVER__PORT="x")) == 2

    def test_a_long_wrong_value_is_cut(self) -> None:
        (fault,) = faults(AMBIENTD_ENGINE__PROMPT="a" * 5_000)
        assert fault.startswith("engine.prompt: must have at most 800 characters")
        assert len(fault) < 200

    def test_bytes_that_are_not_text_are_told_in_plain_characters(self) -> None:
        (fault,) = faults(AMBIENTD_ENGINE__MODEL="b\udcffse")
        assert fault.startswith("engine.model: must ")
        fault.encode()

    @pytest.mark.parametrize("name", ["../base", "a/b", "", ".hidden", "a b", "x" * 65])
    def test_a_model_name_cannot_leave_its_folder(self, name: str) -> None:
        (fault,) = faults(AMBIENTD_ENGINE__MODEL=name)
        assert fault.startswith("engine.model: ")


class TestRules:
    @pytest.mark.parametrize(
        ("setting", "variables"),
        [
            ("segmentation.overlap_duration", {"WEBSOCKET_CHUNK_DURATION": "0.5"}),
            ("segmentation.chunk_duration", {"WEBSOCKET_CHUNK_DURATION": "17"}),
            (
                "segmentation.pause",
                {"AMBIENTD_SEGMENTATION__PAUSE": "2.5", "AMBIENTD_SEGMENTATION__PATIENCE": "2"},
            ),
            ("server.audio_buffer_size", {"AMBIENTD_SERVER__MAX_FRAME_BYTES": "4096"}),
            ("server.audio_buffer_size", {"WEBSOCKET_AUDIO_BUFFER_SIZE": "4097"}),
            ("audio.inbox_seconds", {"AMBIENTD_AUDIO__INBOX_SECONDS": "8"}),
            ("engine.language", {"WEBSOCKET_WHISPER_MODEL": "tiny.en", "AMBIENTD_ENGINE__LANGUAGE": "de"}),
            ("engine.language", {"WEBSOCKET_WHISPER_MODEL": "tiny.en", "AMBIENTD_ENGINE__LANGUAGE": "auto"}),
        ],
    )
    def test_what_cannot_be_together_is_told_with_every_value_and_its_origin(
        self, setting: str, variables: dict[str, str]
    ) -> None:
        (fault,) = faults(**variables)
        assert fault.startswith(f"{setting}: must ")
        for name in variables:
            assert f"environment {name}" in fault

    def test_every_rule_is_about_settings_that_exist(self) -> None:
        known = {f"{table}.{key}" for table, key in ALL}
        assert known.issuperset(name for rule in RULES for name in rule.settings)

    def test_a_rule_is_silent_while_one_of_its_settings_is_wrong_in_itself(self) -> None:
        told = faults(WEBSOCKET_OVERLAP_DURATION="x", WEBSOCKET_CHUNK_DURATION="0.3")
        assert [fault.split(":")[0] for fault in told] == ["segmentation.overlap_duration"]

    def test_the_file_and_the_environment_are_judged_together(self, file: Path) -> None:
        file.write_text("[segmentation]\nchunk_duration = 17\n")
        assert len(faults(file)) == 1
        settings = load(file, HOME | {"AMBIENTD_SEGMENTATION__MAX_DURATION": "24"})
        assert settings.segmentation.chunk_duration == 17

    def test_whatever_is_accepted_the_segmenter_can_work_by(self) -> None:
        from ambientd.terms import terms  # noqa: PLC0415 - heavy to import

        ends = ["chunk_duration", "max_duration", "overlap_duration", "pause", "patience", "speech_threshold"]
        accepted = 0
        for choice in range(2 ** len(ends)):
            variables = {}
            for bit, key in enumerate(ends):
                field = ALL["segmentation", key]
                low, high = bound(field, annotated_types.Ge, "ge"), bound(field, annotated_types.Le, "le")
                variables[layers.variable("segmentation", key)] = str(high if choice >> bit & 1 else low)
            try:
                settings = load(environ=HOME | variables)
            except ConfigError:
                continue
            accepted += 1
            terms(settings)
        assert accepted >= 4

    @pytest.mark.parametrize("wanted", [True, False])
    def test_whether_names_are_put_in_reaches_every_conversation(self, wanted: bool) -> None:  # noqa: FBT001
        from ambientd.terms import terms  # noqa: PLC0415 - heavy to import

        settings = load(environ=HOME | {"AMBIENTD_VOCABULARY__PUT_IN": str(wanted).lower()})
        opened = terms(settings, search=Search((Index(parse("omeprazole")),)))

        assert (opened.names().suspected() is not None) == wanted

    @pytest.mark.parametrize(
        ("variables", "word"),
        [
            ({"AMBIENTD_SERVER__HOST": "0.0.0.0"}, "server.host"),  # noqa: S104
            ({"AMBIENTD_SERVER__HOST": "box.local"}, "server.host"),
            ({"AMBIENTD_SERVER__IDLE_TIMEOUT": "7200"}, "server.idle_timeout"),
            ({"AMBIENTD_SERVER__SHUTDOWN_TIMEOUT": "9"}, "server.shutdown_timeout"),
            ({"AMBIENTD_ENGINE__LANES": "2", "AMBIENTD_ENGINE__THREADS": "2"}, "engine.lanes"),
            ({"AMBIENTD_ENGINE__THREADS": "4"}, "engine.lanes"),
        ],
    )
    def test_what_works_but_is_seldom_meant_is_a_doubt(self, variables: dict[str, str], word: str) -> None:
        (doubt,) = doubts(load(environ=HOME | variables), cores=2)
        assert doubt.startswith(word)

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
    def test_this_machine_alone_raises_no_doubt(self, host: str) -> None:
        assert doubts(load(environ=HOME | {"AMBIENTD_SERVER__HOST": host}), cores=2) == []

    @pytest.mark.parametrize(
        ("lanes", "threads", "cores", "expected"),
        [(0, 1, 4, 4), (0, 3, 4, 1), (0, 8, 4, 1), (3, 1, 1, 3), (0, 0, 4, 4), (3, 0, 4, 3)],
    )
    def test_no_lanes_set_means_as_many_as_the_cores_allow(
        self, lanes: int, threads: int, cores: int, expected: int
    ) -> None:
        variables = {"AMBIENTD_ENGINE__LANES": str(lanes), "AMBIENTD_ENGINE__THREADS": str(threads)}
        assert load(environ=HOME | variables).engine.layout(cores) == (expected, max(1, threads))


class Central(Table):
    """A table with a secret, which only this test has."""

    token: SecretStr = SecretStr("")
    """Key to the centre."""


class WithSecret(Settings):
    central: Central = Central()


class TestDescribe:
    def test_it_is_a_settings_file_that_gives_the_same_settings(self, file: Path) -> None:
        prompt = 'Um, "yeah",\n\té \\ \x7f so.'
        variables = {"AMBIENTD_ENGINE__PROMPT": prompt, "AMBIENTD_SERVER__PORT": "0", "LOG_LEVEL": "debug"}
        settings = load(environ=HOME | variables)
        file.write_text(pages.describe(settings))
        again = load(file, HOME)
        assert again.model_dump() == settings.model_dump()
        assert again.engine.prompt == prompt
        assert again.origin("engine", "prompt") == str(file)

    def test_every_value_stands_with_its_origin(self, file: Path) -> None:
        file.write_text("[audio]\nchannels = 2\n")
        text = pages.describe(load(file, HOME | {"LOG_LEVEL": "DEBUG"}))
        assert re.search(r'^level = "DEBUG" +# environment LOG_LEVEL$', text, re.MULTILINE)
        assert re.search(rf"^channels = 2 +# {file}$", text, re.MULTILINE)
        assert re.search(r"^port = 8000 +# default$", text, re.MULTILINE)

    def test_secrets_are_hidden_and_it_shows_whether_there_is_one(self, file: Path) -> None:
        file.write_text('[central]\ntoken = "hunter2"\n')
        set_, unset = load_as(WithSecret, file, HOME), load_as(WithSecret, None, HOME)
        assert set_.central.token.get_secret_value() == "hunter2"
        assert 'token = "**********"' in pages.describe(set_)
        assert "hunter2" not in pages.describe(set_)
        assert 'token = ""' in pages.describe(unset)

    def test_a_secret_from_the_environment_is_hidden_too(self) -> None:
        settings = load_as(WithSecret, None, HOME | {"AMBIENTD_CENTRAL__TOKEN": "hunter2"})
        assert settings.central.token.get_secret_value() == "hunter2"
        assert "hunter2" not in pages.describe(settings)
        assert "hunter2" not in repr(settings)

    def test_no_fault_quotes_a_secret_or_what_may_be_one(self, file: Path) -> None:
        file.write_text('[central]\ntoken = 31337\ntokn = "hunter2"\n[centrl]\ntoken = "hunter2"\n')
        with pytest.raises(ConfigError) as caught:
            load_as(WithSecret, file, HOME)
        assert len(caught.value.faults) == 3
        assert not re.search("hunter2|31337", str(caught.value))


class TestPages:
    def test_the_sample_file_is_what_the_code_prints(self) -> None:
        """Mend it with: python -m ambientd.config.pages"""
        assert (ROOT / "config/ambientd.toml").read_text() == pages.sample()

    def test_the_sample_file_has_every_setting_with_its_default_and_no_other(self) -> None:
        live = re.sub(r"^#(?=\w+ = )", "", (ROOT / "config/ambientd.toml").read_text(), flags=re.MULTILINE)
        written = {
            (table, key): value for table, keys in tomllib.loads(live).items() for key, value in keys.items()
        }
        packaged = {
            place: mark.value for place, f in ALL.items() for mark in f.metadata if isinstance(mark, Packaged)
        }
        assert written == {place: packaged.get(place, field.default) for place, field in ALL.items()}

    def test_the_sample_file_changes_nothing_as_it_is(self) -> None:
        assert load(ROOT / "config/ambientd.toml", HOME).model_dump() == load(environ=HOME).model_dump()

    def test_the_sample_file_with_every_setting_taken_in_is_accepted(self, file: Path) -> None:
        file.write_text(re.sub(r"^#(?=\w+ = )", "", pages.sample(), flags=re.MULTILINE))
        assert load(file, HOME).store.directory == Path("/var/lib/ambientd")

    def test_the_documented_settings_are_those_of_the_code(self) -> None:
        """Mend it with: python -m ambientd.config.pages"""
        page = (ROOT / "docs/settings.md").read_text()
        assert page == pages.documented(page)
        rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| (.+?) \| (.+?) \| (.+) \|$", page, re.MULTILINE)
        assert [row[0] for row in rows] == [key for _, key in ALL]
        for (key, default, counted, about, names), ((table, _), field) in zip(rows, ALL.items(), strict=True):
            assert default == pages.default(field)
            assert counted == (unit(field) or "-")
            assert about.endswith(".")
            assert f"`AMBIENTD_{table.upper()}__{key.upper()}`" in names
        assert all(f"`{name}`" in page for name in SEED_NAMES)

    @pytest.mark.parametrize("place", sorted(ALL))
    def test_every_setting_is_one_sentence_and_every_number_has_both_limits(
        self, place: tuple[str, str]
    ) -> None:
        field = ALL[place]
        assert field.description
        assert field.description.endswith(".")
        if field.annotation in (int, float):
            assert bound(field, annotated_types.Ge, "ge") is not None
            assert bound(field, annotated_types.Le, "le") is not None


def test_every_language_is_one_that_whisper_knows_by_that_number() -> None:
    cpp = pytest.importorskip("_pywhispercpp")
    known = [cpp.whisper_lang_str(number) for number in range(cpp.whisper_lang_max_id() + 1)]
    assert set(known[:99]) == LANGUAGES


class TestControlSocket:
    def test_it_is_beside_the_database_or_where_systemd_says(self) -> None:
        assert load(environ={"AMBIENTD_STORE__DIRECTORY": "/data"}).server.control_socket == Path(
            "/data/control.sock"
        )
        settings = load(environ=HOME | {"RUNTIME_DIRECTORY": "/run/ambientd"})
        assert settings.server.control_socket == Path("/run/ambientd/control.sock")
        assert settings.origin("server", "control_socket") == "default, from $RUNTIME_DIRECTORY"

    def test_a_path_the_system_cannot_take_is_a_fault_where_it_was_set(self, tmp_path: Path) -> None:
        long = "/" + "x" * 107
        assert "at most 107 bytes" in faults(AMBIENTD_SERVER__CONTROL_SOCKET=long)[0]
        assert load(environ=HOME | {"AMBIENTD_STORE__DIRECTORY": long}).server.control_socket.name == (
            "control.sock"
        )
