"""Accounts, devices, log-ins, pairing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from ambientd.api.described import Model
from ambientd.core.access import Kind, Permission, Role

Given = Literal["clinician", "operator", "reader", "integration"]
Name = Annotated[str, Field(min_length=1, max_length=1_000)]
Password = Annotated[str, Field(max_length=1_000)]


class Me(Model):
    """Who calls, and what he may."""

    id: str
    name: str
    kind: Kind
    role: Role
    permissions: list[Permission]
    local: bool
    """Whether he is on the box itself."""
    locked: bool
    pin: bool | None
    """Whether a paired device has a PIN; ``null`` for anybody else."""
    lock_seconds: int | None
    """After so long without use the log-in is locked."""
    expires_at: datetime | None
    shared_visits: bool
    setup_needed: bool | None = None
    """Whether the box waits for its first account."""


class Welcome(Me):
    """Somebody who has logged in."""

    token: str | None = None
    """Told on the box itself alone, for a program there."""
    expires_in: int | None = None


class Nobody(Model):
    """Nobody that is known."""

    detail: str
    code: str
    setup_needed: bool


class SetUp(Model):
    """The first account."""

    code: Name
    name: Name
    password: Password


class LogIn(Model):
    """A name and its password."""

    name: Name
    password: Password


class Code(Model):
    """A code."""

    code: Name


class Unlock(Model):
    """Whichever one has."""

    name: Name | None = None
    password: Password | None = None
    pin: Name | None = None


class NewPassword(Model):
    """One's own password, and another."""

    old: Password
    new: Password


class NewPin(Model):
    """The PIN that unlocks a device; and, where there is one already, who changes it."""

    pin: Name
    old: Name | None = None
    name: Name | None = None
    password: Name | None = None


class Purpose(Model):
    """What a ticket is for."""

    purpose: Literal["transcribe", "listen"] = "transcribe"


class Ticket(Model):
    """Opens one WebSocket, once."""

    ticket: str
    expires_in: int


class Message(Model):
    """It was done."""

    message: str


class PairingWanted(Model):
    """What the browser is called."""

    name: Name


class PairingAsked(Model):
    """A browser's own view of its pairing."""

    pairing_id: str
    code: str
    """Shown on its screen."""
    secret: str
    """For ``X-Pairing-Secret``."""
    expires_in: int


class PairingStatus(Model):
    """How it stands."""

    status: Literal["waiting", "approved", "refused", "expired"]


class Pairing(Model):
    """A browser that asks to be let in."""

    id: str
    name: str
    code: str
    origin: str | None
    asked_at: datetime
    expires_in: int


class Pairings(Model):
    """All that ask."""

    pairings: list[Pairing]


class Approval(Model):
    """As what it is let in."""

    role: Given
    code: str | None = None
    """If given, only if that is the number on its screen."""


class Device(Model):
    """A paired browser or a program."""

    id: str
    name: str
    role: Role
    kind: Literal["program", "browser"]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    added_by: str


class SeenDevice(Device):
    """A device, and when it was last here."""

    seen_at: datetime | None


class Emergency(Model):
    """Somebody who has all rights by the emergency code."""

    id: str
    expires_at: datetime


class Devices(Model):
    """All of them, those revoked too."""

    devices: list[SeenDevice]
    emergencies: list[Emergency]


class DeviceWanted(Model):
    """A program that is to have a token."""

    name: Name
    role: Given = "integration"
    days: Annotated[int, Field(ge=1)] | None = None


class NewDevice(Device):
    """A program with its token, told once."""

    token: str


class Account(Model):
    """Somebody who logs in."""

    id: str
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None
    seen_at: datetime | None


class Accounts(Model):
    """All of them, those revoked too."""

    accounts: list[Account]


class AccountWanted(Model):
    """Somebody who is to log in; without a password one is made up."""

    name: Name
    role: Given
    password: Password | None = None


class NewAccount(Account):
    """An account; a password that was made up is told once."""

    password: str | None = None


class PasswordWanted(Model):
    """Another password; without one it is made up."""

    password: Password | None = None


class PasswordSet(Model):
    """A password that was made up is told once."""

    id: str
    password: str | None = None


class Revoked(Model):
    """Whoever comes no more."""

    id: str
    message: str


class SetupCode(Model):
    """Whether the box waits for its first account."""

    setup_needed: bool
    code: str | None = None


class EmergencyCode(Model):
    """To be sealed and put away."""

    code: str
