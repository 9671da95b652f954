"""Which credentials the sandbox accepts: the secret key, and tokens made from it that last a day."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .switches import Switches


TOKEN_LIFETIME = 86_400.0  # seconds: a day


class Credentials:
    """The present key, and the tokens made from it; only the header ``Authorization: Bearer`` is read."""

    def __init__(self, key: str | None, switches: Switches) -> None:
        self._key = key
        self._switches = switches
        self._tokens: dict[str, float] = {}  # token -> when it expires, in seconds since 1970
        self.is_revoked = False

    def change(self, key: str | None) -> None:
        """Accept this key from now on, and neither the old one nor its tokens."""
        self._key, self._tokens = key, {}

    def revoke(self, *, is_revoked: bool) -> None:
        """Let no credential be valid, or let them be valid again."""
        self.is_revoked = is_revoked

    def admits(self, headers: Sequence[str]) -> bool:
        """Whether these ``Authorization`` headers hold a valid key or token."""
        if self.is_revoked:
            return False
        bearer = self._bearer(headers)
        if bearer in self._tokens:
            return self._switches.clock() < self._tokens[bearer]
        return bearer == self._key or (self._key is None and bearer != "")

    def trade(self, headers: Sequence[str]) -> str:
        """Return a new token for the key; for a token return the token itself, since it cannot be renewed."""
        bearer = self._bearer(headers)
        if bearer in self._tokens:
            return bearer
        now = self._switches.clock()
        token = ".".join(
            (
                _part({"alg": "HS256", "typ": "JWT"}),
                _part({"iat": int(now), "exp": int(now + TOKEN_LIFETIME)}),
                secrets.token_urlsafe(32),
            )
        )
        self._tokens[token] = now + TOKEN_LIFETIME
        return token

    @staticmethod
    def _bearer(headers: Sequence[str]) -> str:
        scheme, _, bearer = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
        return bearer.strip(" ") if scheme.lower() == "bearer" else ""


def _part(claims: dict[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
