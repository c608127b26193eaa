"""What this server speaks, and what it lets its users do."""

from __future__ import annotations

from ...api.urls import CLIENT, CLIENT_ROOT
from ...events.room_versions import ROOM_VERSIONS
from ...handlers.login_tokens import hands_out_login_tokens
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

OLD_VERSIONS = ("r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1")
"""Clients take a server only if it names a version that they know, so old ones stay listed."""

NEWEST_MINOR = 19
"""Of the versions v1.x of the specification."""

VERSIONS = (*OLD_VERSIONS, *(f"v1.{minor}" for minor in range(1, NEWEST_MINOR + 1)))

UNSTABLE_FEATURES: dict[str, bool] = {
    "org.matrix.msc3266": True,
    "uk.half-shot.msc2666.query_mutual_rooms": True,
    "uk.half-shot.msc2666.query_mutual_rooms.stable": True,
}
"""Features ahead of the specification: only those that work, each with its own name."""


@endpoint("GET", CLIENT_ROOT, "/versions", served_by=("client_reader",), auth=Auth.NONE)
class Versions(Servlet):
    """Section "API Versions". A token, even a stale one, makes no difference."""

    async def answer(self, request: Request) -> JsonDict:
        return {"versions": list(VERSIONS), "unstable_features": dict(UNSTABLE_FEATURES)}


@endpoint("GET", CLIENT, "/capabilities", served_by=("client_reader",), auth=Auth.GUEST)
class Capabilities(Servlet):
    """Section "Capabilities negotiation"."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._default_room_version = hs.config.server.default_room_version
        self._hands_out_tokens = hands_out_login_tokens(hs.config)
        self._has_passwords = hs.config.password.enabled and hs.config.password.localdb_enabled

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        available = {
            identifier: "stable" if version.stable else "unstable"
            for identifier, version in ROOM_VERSIONS.items()
        }
        capabilities: JsonDict = {
            "m.room_versions": {
                "default": self._default_room_version,
                "available": available,
            },
            "m.change_password": {"enabled": self._has_passwords},
            "m.profile_fields": {"enabled": True},
            "m.set_displayname": {"enabled": True},
            "m.set_avatar_url": {"enabled": True},
            "m.3pid_changes": {"enabled": False},
            "m.get_login_token": {"enabled": self._hands_out_tokens},
        }
        if requester.is_admin:
            capabilities["m.account_moderation"] = {"lock": True, "suspend": True}
        return {"capabilities": capabilities}


SERVLETS: tuple[type[Servlet], ...] = (Versions, Capabilities)
