"""A restore brings sessions back, and no right that was taken away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ambientd.core.access import Role
from ambientd.core.people import Account, Device, Login
from ambientd.store.backup import made
from ambientd.store.database import open_database
from ambientd.store.people import By, People
from ambientd.store.restore import restore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BY = By("local", "local")


def account(name: str, password: str = "scrypt$1$8$3$AA==$AA==") -> Account:  # noqa: S107 - opens nothing
    return Account(f"a-{name.lower()}", name, Role.CLINICIAN, password, NOW)


async def test_who_was_put_out_since_the_backup_stays_out(path: Path, tmp_path: Path) -> None:
    lost = Device("d-lost", "Room 3", Role.CLINICIAN, NOW, NOW + timedelta(days=9), "a-olga", token=b"t" * 32)
    async with open_database(path) as database:
        people = People(database)
        await people.add_account(account("Anna"), BY)
        await people.add_device(lost, BY)
        await people.begin(Login("l-1", b"c" * 32, "a-anna", NOW, NOW + timedelta(hours=12), NOW), BY)
        await people.seal_emergency(b"old", BY)
    with made(path) as found:
        (tmp_path / "copy").write_bytes(found.path.read_bytes())
    async with open_database(path) as database:
        people = People(database)
        await people.revoke("d-lost", NOW, BY)
        await people.set_password("a-anna", "scrypt$1$8$3$BB==$BB==", BY)
        await people.add_account(account("Bert"), BY)
        await people.seal_emergency(b"new", BY)
    restore(path, tmp_path / "copy", force=True)
    async with open_database(path) as database:
        known = await People(database).known()
        assert [(each.name, each.password) for each in known.accounts] == [
            ("Anna", "scrypt$1$8$3$BB==$BB=="),
            ("Bert", "scrypt$1$8$3$AA==$AA=="),
        ]
        assert [(each.id, each.revoked_at) for each in known.devices] == [("d-lost", NOW)]
        assert known.logins == []
        login = Login("l-2", b"d" * 32, "e-1", NOW, NOW, NOW)
        assert not await People(database).break_glass(b"old", login, BY)
        assert await People(database).break_glass(b"new", login, BY)


async def test_on_a_new_box_they_are_those_of_the_backup(path: Path, tmp_path: Path) -> None:
    async with open_database(path) as database:
        await People(database).add_account(account("Anna"), BY)
    with made(path) as found:
        (tmp_path / "copy").write_bytes(found.path.read_bytes())
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    restore(path, tmp_path / "copy")
    async with open_database(path) as database:
        assert [each.name for each in (await People(database).known()).accounts] == ["Anna"]
