"""Errors as HTTP answers: what happened and what to do, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from ambientd.core import compatible
from ambientd.errors import AmbientError, ClientError, OperatorError

logger = logging.getLogger(__name__)

COMPATIBLE: Final = "/v1/"
"""Below it answers are those of OpenAI's interface, errors too."""

_UNSUPPORTED: Final = 415

_STATUS = {
    "unauthenticated": 401,
    "bad_login": 401,
    "bad_code": 401,
    "bad_unlock": 401,
    "needs_tls": 403,
    "already_set_up": 409,
    "name_taken": 409,
    "last_operator": 409,
    "not_waiting": 409,
    "no_such_principal": 404,
    "no_such_pairing": 404,
    "forbidden": 403,
    "locked": 423,
    "cannot_lock": 409,
    "wrong_host": 421,
    "too_many_requests": 429,
    "no_lan": 404,
    "not_banned": 404,
    "no_such_session": 404,
    "model_not_found": 404,
    "not_refined": 404,
    "no_such_copy": 404,
    "no_such_item": 404,
    "not_retryable": 409,
    "not_parkable": 409,
    "sync_off": 409,
    "sync_paused": 409,
    "no_such_transcription": 404,
    "session_in_use": 409,
    "corrected_meanwhile": 409,
    "not_delivered": 409,
    "already_sent": 409,
    "session_ending": 409,
    "microphone_in_use": 409,
    "not_recording": 409,
    "microphone_disabled": 503,
    "microphone_unavailable": 503,
    "session_discarded": 409,
    "clock_doubtful": 409,
    "file_too_big": 413,
    "recording_too_long": 413,
    "bad_recording": 415,
    "going_away": 503,
    "disk_low": 507,
    "uploads_full": 503,
    "too_many_sessions": 503,
    "overloaded": 503,
}


def status_of(error: ClientError) -> int:
    """The HTTP status that tells it."""
    return _STATUS.get(error.code, 400)


def answer(error: AmbientError, path: str = "") -> web.Response:
    """``error`` as JSON: ``detail`` for people, ``code`` for programs; below ``/v1/`` in OpenAI's shape.

    ``path``: of the request.
    """
    if isinstance(error, ClientError):
        wait = {} if error.retry_after is None else {"Retry-After": str(round(error.retry_after))}
        return _told(str(error), error.code, status_of(error), wait, path)
    if isinstance(error, OperatorError):
        return _told(str(error), "unavailable", 503, {}, path)
    return _told(str(error), "internal", 500, {}, path)


def _told(detail: str, code: str, status: int, headers: dict[str, str], path: str) -> web.Response:
    if not path.startswith(COMPATIBLE):
        return web.json_response({"detail": detail, "code": code}, status=status, headers=headers)
    # A recording that cannot be read is a bad request there, and programs look at the status.
    status = 400 if status == _UNSUPPORTED else status
    return web.json_response(
        compatible.error(detail, code=code, status=status), status=status, headers=headers
    )


@web.middleware
async def faults(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turns what a handler raises into an answer."""
    try:
        return await handler(request)
    except AmbientError as error:
        if not isinstance(error, ClientError):
            logger.exception("request failed", extra={"error": type(error).__name__})
        return answer(error, request.path)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004
            raise
        allowed = {k: v for k, v in error.headers.items() if k == "Allow"}
        return _told(error.text or error.reason, "http", error.status, allowed, request.path)
    except ConnectionResetError:
        raise
    except web.RequestPayloadError:
        return answer(ClientError("bad_request", "the body of the request could not be read to its end"))
    # The request boundary: a defect in one handler must not show a stranger its insides.
    except Exception as error:
        logger.exception("request failed", extra={"error": type(error).__name__})
        return answer(AmbientError("something went wrong inside the server"), request.path)
