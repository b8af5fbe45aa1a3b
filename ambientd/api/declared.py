"""``docs/routes.md``, written from the routes: ``python -m ambientd.api.declared``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from aiohttp import web

from ambientd.api.access import Need, need
from ambientd.api.app import ROOMS
from ambientd.core.access import GIVEN, GRANTS, Permission, Reach, Role

PAGE: Final = "docs/routes.md"

_REACH: Final = {Reach.OWN: "own", Reach.VISITS: "own, or shared", Reach.ALL: "all"}

_HEAD: Final = """\
# Who may call what

Written from the code (`python -m ambientd.api.declared`); a test compares. Who is who is told in
[operations.md](operations.md), what the routes take and give in [protocol.md](protocol.md).

A program on the box itself may call everything, about everybody's sessions. From the network each route asks for a
permission, and each role has some of them, over sessions of one's own, over those of all clinicians where
`access.shared_visits` is set ("own, or shared"), or over all. Whoever has not shown who he is gets 401, whoever lacks
the permission 403, whoever is locked 423; a session out of reach is answered like one that does not exist, with 404.
The emergency code gives all permissions over all sessions.

"""


def page() -> str:
    """The whole page."""
    return f"{_HEAD}{_permissions()}\n{_routes()}"


def _permissions() -> str:
    roles = sorted(GIVEN, key=list(Role).index)
    lines = [f"| permission | {' | '.join(roles)} |", f"| --- |{' --- |' * len(roles)}"]
    for permission in Permission:
        cells = [_REACH[GRANTS[role][permission]] if permission in GRANTS[role] else "-" for role in roles]
        lines.append(f"| `{permission}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _routes() -> str:
    lines = ["| route | asks for | what it does |", "| --- | --- | --- |"]
    for room in ROOMS:
        for route in room.routes:
            assert isinstance(route, web.RouteDef)  # noqa: S101 - we have no others
            asked = need(route.handler) or Need(())
            allowed = " or ".join(f"`{each}`" for each in asked.permissions)
            if set(asked.permissions) == set(Permission):
                allowed = "to be known"
            about = " ".join((route.handler.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
            cell = f"`{route.method} {route.path}`".replace("|", "\\|")
            lines.append(f"| {cell} | {allowed or 'nothing'} | {about} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1] if len(sys.argv) > 1 else ".") / PAGE).write_text(page())
