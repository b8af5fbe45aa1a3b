"""Routes for whoever keeps the box, by their former name: use :func:`ambientd.api.access.allows`."""

from __future__ import annotations

from ambientd.api.access import allows
from ambientd.api.origin import is_local, peer
from ambientd.core.access import Permission

__all__ = ["is_local", "operator_only", "peer"]

operator_only = allows(Permission.RUN_BOX)
