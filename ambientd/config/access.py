"""The table of who may come in, apart from the others for their length."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ambientd.config.kinds import Seconds, Table, Unit

Days = Annotated[float, Unit("days")]


class Access(Table):
    """Who may come in, and for how long; people and devices themselves are kept in the database."""

    trust_loopback: bool = True
    """Whether programs on the box may do everything over its loopback port; without it they show a token, as from the
    network, and only the control socket is trusted."""
    shared_visits: bool = False
    """Whether clinicians may read and steer each other's visits, and those begun on the box itself, by button
    or voice."""
    idle_lock: Seconds = Field(default=900.0, ge=0, le=86_400)
    """Time without a touch after which a browser is locked; a recording goes on. 0 never locks."""
    login_hours: Annotated[float, Unit("h")] = Field(default=12.0, ge=0.25, le=168)
    """Time after which somebody must log in again, whatever he does."""
    device_days: Days = Field(default=180.0, ge=1, le=3_650)
    """Time after which a tablet must be paired again."""
    token_days: Days = Field(default=365.0, ge=1, le=3_650)
    """Time a program's token is good, unless another is given when it is made."""
    pairing_time: Seconds = Field(default=600.0, ge=30, le=3_600)
    """Time an operator has to approve a device that asks to be paired."""
    emergency_time: Seconds = Field(default=3_600.0, ge=60, le=86_400)
    """Time the sealed emergency code opens everything, once it is used."""
