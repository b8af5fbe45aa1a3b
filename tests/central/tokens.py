"""Log-in: signed tokens with an end, which can also be made invalid all at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

LIFETIME = 30 * 60.0
HEADER = b'{"alg":"HS256","typ":"JWT"}'


class Tokens:
    """``users``: password by e-mail address."""

    def __init__(
        self,
        users: dict[str, str],
        *,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lifetime = lifetime
        self._users = users
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def log_in(self, email: object, password: object) -> str | None:
        """A token; ``None`` for wrong credentials."""
        if not isinstance(email, str) or self._users.get(email) != password:
            return None
        claims = {"sub": email, "exp": self._clock() + self.lifetime, "jti": secrets.token_hex(8)}
        body = f"{_coded(HEADER)}.{_coded(json.dumps(claims).encode())}"
        return f"{body}.{self._signature(body)}"

    def user(self, token: str | None) -> str | None:
        """Whose token this is; ``None`` for no token, and just so for a bad or an expired one."""
        body, _, signature = (token or "").rpartition(".")
        if not body or not hmac.compare_digest(signature, self._signature(body)):
            return None
        claims = json.loads(base64.urlsafe_b64decode(body.split(".")[1] + "=="))
        return claims["sub"] if claims["exp"] > self._clock() else None

    def expire_all(self) -> None:
        self._key = secrets.token_bytes(32)

    def _signature(self, body: str) -> str:
        return _coded(hmac.digest(self._key, body.encode(), hashlib.sha256))


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
