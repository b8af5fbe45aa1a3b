"""What the box keeps sealed for itself: unreadable on the disk, and not lost by a change of key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ambientd.errors import DoesNotOpen, StoreUnavailable
from ambientd.store import rotation
from ambientd.store.database import open_database
from ambientd.store.facts import fact, remember
from ambientd.store.refusals import SealBroken
from ambientd.store.secrets_of_box import Secrets

SECRET = b"-----BEGIN PRIVATE KEY----- of the box"


async def test_it_comes_back_and_cannot_be_read_on_the_disk(path: Path) -> None:
    async with open_database(path) as database:
        assert await Secrets(database, path.parent / "tls").get("authority") is None
        await Secrets(database, path.parent / "tls").keep("authority", SECRET)
    async with open_database(path) as database:
        assert await Secrets(database, path.parent / "tls").get("authority") == SECRET
    for file in path.parent.iterdir():
        if file.is_file() and file.name != "box.key":
            assert b"PRIVATE KEY" not in file.read_bytes()


async def test_a_change_of_key_takes_it_along(path: Path) -> None:
    async with open_database(path) as database:
        await Secrets(database, path.parent / "tls").keep("authority", SECRET)
    await rotation.rotate(path, force=True)
    async with open_database(path) as database:
        assert await Secrets(database, path.parent / "tls").get("authority") == SECRET


async def test_it_opens_under_its_own_name_only(path: Path) -> None:
    async with open_database(path) as database:
        await Secrets(database, path.parent / "tls").keep("authority", SECRET)

        async def swap(connection) -> None:
            await remember(connection, "sealed:other", str(await fact(connection, "sealed:authority")))

        await database.transact(swap)
        with pytest.raises(StoreUnavailable):
            await Secrets(database, path.parent / "tls").get("other")


@pytest.mark.parametrize("damaged", ["bm9uc2Vuc2U=", "cut off"])
async def test_one_that_was_damaged_does_not_stop_a_change_of_key(path: Path, damaged: str) -> None:
    async with open_database(path) as database:
        await Secrets(database, path.parent / "tls").keep("whole", SECRET)
        await database.transact(lambda connection: remember(connection, "sealed:authority", damaged))
        before = database.vault.key_id
    (path.parent / "tls" / "whole.sealed").unlink()
    await rotation.rotate(path, force=True)
    async with open_database(path) as database:
        assert database.vault.key_id != before
        assert await Secrets(database, path.parent / "tls").get("whole") == SECRET
        with pytest.raises(SealBroken):
            await Secrets(database, path.parent / "tls").get("authority")


async def test_a_database_that_was_lost_takes_it_from_the_copy(path: Path) -> None:
    async with open_database(path) as database:
        await Secrets(database, path.parent / "tls").keep("authority", SECRET)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    async with open_database(path) as database:
        assert await Secrets(database, path.parent / "tls").get("authority") == SECRET


async def test_one_that_does_not_open_any_more_is_taken_from_the_copy(path: Path) -> None:
    for damaged in ("bm9uc2Vuc2U=", "no base64"):
        async with open_database(path) as database:
            secrets = Secrets(database, path.parent / "tls")
            await secrets.keep("authority", SECRET)
            await database.transact(
                lambda connection, damaged=damaged: remember(connection, "sealed:authority", damaged)
            )
            assert await secrets.get("authority") == SECRET
            (path.parent / "tls" / "authority.sealed").unlink()
            assert await secrets.get("authority") == SECRET


async def test_one_of_which_no_copy_opens_either_is_said_to_be_lost(path: Path) -> None:
    async with open_database(path) as database:
        secrets = Secrets(database, path.parent / "tls")
        await secrets.keep("authority", SECRET)
        (path.parent / "tls" / "authority.sealed").write_bytes(b"nonsense")
        await database.transact(lambda connection: remember(connection, "sealed:authority", "no base64"))
        with pytest.raises(DoesNotOpen):
            await secrets.get("authority")


async def test_the_copy_is_sealed_too_and_follows_a_change_of_key(path: Path) -> None:
    copy = path.parent / "tls" / "authority.sealed"
    async with open_database(path) as database:
        await Secrets(database, path.parent / "tls").keep("authority", SECRET)
    before = copy.read_bytes()
    assert b"PRIVATE" not in before
    await rotation.rotate(path, force=True)
    async with open_database(path) as database:
        assert await Secrets(database, path.parent / "tls").get("authority") == SECRET
        assert database.vault.open_secret("authority", copy.read_bytes()) == SECRET
    assert copy.read_bytes() != before
