"""How the box does, in one line: what ``systemctl status`` shows."""

from __future__ import annotations

from ambientd.core.microphone import Microphone, State, Status
from ambientd.session.registry import Registry


def condition(registry: Registry, microphone: Microphone) -> str:
    """Figures and states only, never who or what is heard."""
    live = len(registry)
    return f"ready: {live} live session{'' if live == 1 else 's'}, microphone {_said(microphone.state)}"


def _said(state: State) -> str:
    if state.status is Status.UNAVAILABLE and state.reason is not None:
        return f"{state.status.value} ({state.reason.value})"
    return str(state.status.value)
