"""REST over accounts and devices, for operators: list, add, revoke; and the code in the envelope."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows, caller
from ambientd.api.body import fields
from ambientd.api.described import described
from ambientd.api.models.people import (
    Accounts,
    AccountWanted,
    Devices,
    DeviceWanted,
    EmergencyCode,
    NewAccount,
    NewDevice,
    PasswordSet,
    PasswordWanted,
    Revoked,
    SetupCode,
)
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.core.people import Account, Device, check_role
from ambientd.errors import ClientError
from ambientd.store.people import By

routes = web.RouteTableDef()

LONGEST_DAYS: Final = 3_650


@routes.get("/api/v1/accounts")
@allows(Permission.PEOPLE)
@described(Accounts)
async def accounts(request: web.Request) -> web.Response:
    """All accounts, those revoked too."""
    known = request.app[SERVICES].gate.roster.accounts.values()
    return web.json_response({"accounts": [_account_fields(request, each) for each in known]})


@routes.post("/api/v1/accounts")
@allows(Permission.PEOPLE)
@described(NewAccount, status=201, body=AccountWanted, errors=(409,))
async def add_account(request: web.Request) -> web.Response:
    """Adds an account: ``name``, ``role``, ``password``; without one it is made up and told once."""
    body = await fields(request, "name", "role", "password")
    account, made_up = await request.app[SERVICES].joining.add_account(
        body.get("name"), check_role(body.get("role")), body.get("password"), _by(request)
    )
    return web.json_response(_account_fields(request, account) | _once(password=made_up), status=201)


@routes.post("/api/v1/accounts/{id}/password")
@allows(Permission.PEOPLE)
@described(PasswordSet, body=PasswordWanted, body_required=False, errors=(409,))
async def reset_password(request: web.Request) -> web.Response:
    """Sets another ``password``; without one it is made up and told once.  Its log-ins end."""
    body = await fields(request, "password")
    name = request.match_info["id"]
    made_up = await request.app[SERVICES].joining.set_password(name, body.get("password"), _by(request))
    return web.json_response({"id": name} | _once(password=made_up))


@routes.delete("/api/v1/accounts/{id}")
@routes.delete("/api/v1/devices/{id}")
@allows(Permission.PEOPLE)
@described(Revoked, errors=(409,))
async def revoke(request: web.Request) -> web.Response:
    """Revokes an account or a device, and closes what it has open."""
    name = request.match_info["id"]
    await request.app[SERVICES].joining.revoke(name, _by(request), local=caller(request).is_local)
    return web.json_response({"id": name, "message": "Revoked"})


@routes.get("/api/v1/devices")
@allows(Permission.PEOPLE)
@described(Devices)
async def devices(request: web.Request) -> web.Response:
    """Paired browsers and programs, those revoked too, and who has all rights by the emergency code."""
    services = request.app[SERVICES]
    known = [
        device_fields(each) | {"seen_at": _seen(request, each.id)}
        for each in services.gate.roster.devices.values()
    ]
    emergencies = [
        {"id": name, "expires_at": until.isoformat()} for name, until in services.joining.emergencies()
    ]
    return web.json_response({"devices": known, "emergencies": emergencies})


@routes.post("/api/v1/devices")
@allows(Permission.PEOPLE)
@described(NewDevice, status=201, body=DeviceWanted, errors=(409,))
async def add_device(request: web.Request) -> web.Response:
    """Adds a program: ``name``, ``role``, ``days`` it may come; its token is told once."""
    body = await fields(request, "name", "role", "days")
    device, token = await request.app[SERVICES].joining.add_program(
        body.get("name"), check_role(body.get("role", "integration")), _by(request), _days(body)
    )
    return web.json_response(device_fields(device) | {"token": token}, status=201)


@routes.get("/api/v1/setup")
@allows(Permission.PEOPLE)
@described(SetupCode)
async def setup_code(request: web.Request) -> web.Response:
    """Whether the box waits for its first account; on the box itself with the code."""
    code = request.app[SERVICES].joining.setup_code
    shown = {"code": code} if code and caller(request).is_local else {}
    return web.json_response({"setup_needed": code is not None} | shown)


@routes.post("/api/v1/emergency-code")
@allows(Permission.PEOPLE)
@described(EmergencyCode)
async def seal(request: web.Request) -> web.Response:
    """Makes the emergency code anew; only on the box itself, since it opens more than an operator may."""
    if not caller(request).is_local:
        raise ClientError(
            "forbidden", "this is done on the box itself", hint="There: ambientctl access seal."
        )
    return web.json_response({"code": await request.app[SERVICES].joining.seal_emergency(_by(request))})


def device_fields(device: Device) -> dict[str, Any]:
    """A device as it is listed."""
    return {
        "id": device.id,
        "name": device.name,
        "role": device.role,
        "kind": "program" if device.token else "browser",
        "created_at": device.created_at.isoformat(),
        "expires_at": device.expires_at.isoformat(),
        "revoked_at": device.revoked_at.isoformat() if device.revoked_at else None,
        "added_by": device.added_by,
    }


def _account_fields(request: web.Request, account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role,
        "created_at": account.created_at.isoformat(),
        "revoked_at": account.revoked_at.isoformat() if account.revoked_at else None,
        "seen_at": _seen(request, account.id),
    }


def _seen(request: web.Request, principal_id: str) -> str | None:
    logins = request.app[SERVICES].gate.roster.logins.values()
    times = [login.seen_at for login in logins if login.principal == principal_id]
    return max(times).isoformat() if times else None


def _once(**made_up: str | None) -> dict[str, str]:
    return {name: value for name, value in made_up.items() if value is not None}


def _days(body: dict[str, Any]) -> timedelta | None:
    days = body.get("days")
    if days is None:
        return None
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= LONGEST_DAYS:
        raise ClientError("bad_days", f"days must be a number from 1 to {LONGEST_DAYS}")
    return timedelta(days=days)


def _by(request: web.Request) -> By:
    return By(actor(request, "operator"), peer(request))
