"""Kinds of centres.  Each module here is one, under its own name, and has a function ``profile``.

Adding a kind is adding a module: its name can then be set as ``sync.profile``.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Protocol, cast

from ambientd.core.answers import Answer, Question
from ambientd.core.delivery import Part
from ambientd.store.parcels import Parcel
from ambientd.sync.central import Central
from ambientd.sync.route import Route

Claimed = Callable[[list[str]], Awaitable[set[str]]]
"""Which of the centre's uploads are known to be of other parts."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The centre has it."""

    upload_id: str | None = None
    """The centre's name for it, where it gives one."""
    task_id: str | None = None


class Profile(Protocol):
    """How one kind of centre is spoken to.

    Every method raises ``CentralUnavailable`` for what time may heal, and ``CentralRejected`` for what it will not.
    """

    @property
    def most(self) -> int | None:
        """Characters in one call; ``None`` for any number."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether sending the same again changes nothing; otherwise ``look`` must find out first."""
        ...

    @property
    def answers(self) -> bool:
        """Whether this centre answers questions."""
        ...

    async def push(self, parcel: Parcel, part: Part) -> Receipt:
        """Send one part."""
        ...

    async def look(
        self, parcel: Parcel, part: Part, since: datetime | None, claimed: Claimed
    ) -> Receipt | None:
        """Find a part that may have arrived; ``None`` if it is certainly not there.

        since: no earlier than this it was sent, by the centre's clock; ``None`` if that is unknown.

        Raises:
            CentralUnavailable: it cannot be said yet.
        """
        ...

    async def answered(self, part: Part) -> list[Answer] | None:
        """The answers about a part that has arrived; ``None`` as long as there are none."""
        ...

    async def questions(self) -> list[Question]:
        """What is asked about every conversation, the clinic's own questions included."""
        ...


def names() -> list[str]:
    """The profiles there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def profile(name: str, central: Central, route: Route) -> Profile:
    """The profile of that name.

    Raises:
        OperatorError: a file named in the settings cannot be used.
    """
    module = import_module(f"{__name__}.{name}")
    return cast("Profile", module.profile(central, route))
