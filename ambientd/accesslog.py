"""One record per HTTP request, without what the address may hold."""

from __future__ import annotations

import logging

from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, Request, StreamResponse

logger = logging.getLogger("ambientd.access")

FAILED = 400
"""Status from which a request is worth a line: probes and pages that poll would fill the disk otherwise."""


class AccessLog(AbstractAccessLogger):
    """For aiohttp's ``access_log_class``; the logger given there is not used.

    The route is printed as it was declared, ``/ws/transcribe/{session_id}``, not as it was asked for: a query
    string may hold a token, and a path whatever a client puts there.
    """

    @property
    def enabled(self) -> bool:
        """Whether any record could be printed."""
        return logger.isEnabledFor(logging.INFO)

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:  # noqa: D102
        resource = request.match_info.route.resource if isinstance(request, Request) else None
        logger.log(
            logging.INFO if response.status >= FAILED else logging.DEBUG,
            "request",
            extra={
                "method": request.method,
                "route": resource.canonical if resource else None,
                "status": response.status,
                "bytes": response.body_length,
                "seconds": time,
                "remote": request.remote,
            },
        )
