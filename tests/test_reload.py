"""Settings read again while the daemon runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ambientd.config import Settings, load
from ambientd.errors import OperatorError
from ambientd.reload import Reloading, differing, in_force, reloaded
from ambientd.supervision import Supervision
from ambientd.systemd import ServiceManager


class Box:
    """A settings file, and the settings in force."""

    def __init__(self, folder: Path, text: str = "") -> None:
        self.file = folder / "ambientd.toml"
        self.file.write_text(text)
        self.reloading = Reloading(self.read(), self.read)

    def read(self) -> Settings:
        return load(self.file, {"STATE_DIRECTORY": "/var/lib/ambientd"})

    async def now_says(self, text: str) -> Settings:
        self.file.write_text(text)
        await self.reloading.reload()
        return self.reloading.settings


async def test_a_live_setting_changes_and_whoever_asked_is_told(tmp_path: Path) -> None:
    box, told = Box(tmp_path), []
    box.reloading.on("admission", apply=lambda fresh: told.append(fresh.admission.max_lag))

    settings = await box.now_says("[admission]\nmax_lag = 3.0")

    assert settings.admission.max_lag == 3.0
    assert told == [3.0]
    await box.now_says("[admission]\nmax_lag = 3.0")
    assert told == [3.0]


async def test_what_waits_for_a_restart_stays_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box(tmp_path)
    box.reloading.on("engine.language")

    settings = await box.now_says('[engine]\nlanguage = "de"\nlanes = 3\n[server]\nport = 9000')

    assert (settings.engine.language, settings.engine.lanes, settings.server.port) == ("de", 0, 8000)
    waiting = next(record for record in caplog.records if "next start" in record.message)
    assert vars(waiting)["setting"] == ["engine.lanes", "server.port"]


async def test_a_faulty_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box, told = Box(tmp_path), []
    box.reloading.on("log", apply=told.append)
    before = box.reloading.settings

    settings = await box.now_says('[log]\nlevel = "DEBUG"\n[server]\nport = "many"')

    assert settings is before
    assert told == []
    assert caplog.records[-1].levelname == "ERROR"


async def test_a_room_that_cannot_take_it_up_keeps_what_it_had(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_fresh: Settings) -> None:
        raise OperatorError("the vocabulary cannot be read", hint="Look at it.")

    box = Box(tmp_path)
    box.reloading.on("vocabulary", apply=refuse)
    box.reloading.on("log")

    settings = await box.now_says('[vocabulary]\nspecialities = "Cardiology"\n[log]\nlevel = "DEBUG"')

    assert settings.vocabulary.specialities == ""
    assert settings.log.level == "DEBUG"
    assert any(isinstance(vars(record).get("error"), OperatorError) for record in caplog.records)
    # And is asked again the next time, since the file still says so.
    assert differing(settings, box.read()) == ["vocabulary.specialities"]


async def test_files_that_settings_only_name_are_read_again_in_any_case(tmp_path: Path) -> None:
    box, told = Box(tmp_path), []
    box.reloading.on("vocabulary", apply=lambda _: told.append(1), always=True)
    await box.now_says("")
    assert told == [1]


async def test_new_and_old_settings_that_do_not_go_together_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A language for a model that is not yet loaded would make every decode fail."""
    box = Box(tmp_path, '[engine]\nmodel = "base.en"')
    box.reloading.on("engine.language")

    settings = await box.now_says('[engine]\nmodel = "base"\nlanguage = "de"')

    assert settings.engine.language == "en"
    assert "restart instead" in caplog.text


async def test_every_hang_up_reloads_once_more(tmp_path: Path) -> None:
    box, told = Box(tmp_path), []
    box.reloading.on("vocabulary", apply=lambda _: told.append(1), always=True)
    asked = asyncio.Event()
    async with reloaded(box.reloading, asked, Supervision(ServiceManager({}))):
        for count in (1, 2):
            asked.set()
            async with asyncio.timeout(5):
                while len(told) < count:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)  # time for one too many
            assert told == [1] * count
    asked.set()
    await asyncio.sleep(0.05)
    assert told == [1, 1], "the block was left"


def test_settings_in_force_are_the_old_ones_with_the_live_ones_of_the_new(tmp_path: Path) -> None:
    old = Box(tmp_path).reloading.settings
    fresh = Box(tmp_path, '[log]\nlevel = "DEBUG"\nformat = "json"').reloading.settings
    mixed = in_force(old, fresh, ["log.level"])
    assert (mixed.log.level, mixed.log.format) == ("DEBUG", "auto")
    assert old.log.level == "INFO"
    assert mixed.origin("store", "directory") == old.origin("store", "directory")
