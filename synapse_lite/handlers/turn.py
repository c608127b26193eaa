"""What a client needs to use the TURN server (client-server API, "Voice over IP")."""

from __future__ import annotations

import base64
import hashlib
import hmac

from ..api.errors import GuestAccessForbiddenError
from ..server import Homeserver
from ..types.requester import Requester
from ..util.json import JsonDict


class TurnHandler:
    """Makes credentials, in any process."""

    def __init__(self, hs: Homeserver) -> None:
        self._config = hs.config.turn
        self._clock = hs.clock

    def credentials(self, requester: Requester) -> JsonDict:
        """Name, password, addresses and life time; nothing where there is no TURN server.

        Raises GuestAccessForbiddenError for guests if they are not let.
        """
        config = self._config
        if requester.is_guest and not config.allow_guests:
            raise GuestAccessForbiddenError("Guests may not use the TURN server")
        if not config.uris:
            return {}
        lifetime = config.user_lifetime // 1000
        if config.shared_secret is not None:
            username = f"{self._clock.time_ms() // 1000 + lifetime}:{requester.user_id}"
            password = _password(config.shared_secret, username)
        elif config.username is not None and config.password is not None:
            username, password = config.username, config.password
        else:
            return {}
        return {
            "username": username,
            "password": password,
            "ttl": lifetime,
            "uris": list(config.uris),
        }


def _password(secret: str, username: str) -> str:
    """What the TURN server works out from the name as well: its name says when it ends."""
    digest = hmac.new(secret.encode("utf-8"), username.encode("utf-8"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")
