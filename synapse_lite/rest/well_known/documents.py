"""/.well-known/matrix: where clients and servers find this server, and whom to ask for help."""

from __future__ import annotations

from ...api.errors import NotFoundError
from ...api.urls import WELL_KNOWN
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...util.json import JsonDict


@endpoint("GET", WELL_KNOWN, "/client", auth=Auth.NONE)
class WellKnownClient(Servlet):
    """Section "Server Discovery" of the client-server API."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._base_url = hs.config.server.public_baseurl

    async def answer(self, request: Request) -> JsonDict:
        if self._base_url is None:
            raise NotFoundError("public_baseurl is not configured")
        return {"m.homeserver": {"base_url": self._base_url}}


@endpoint("GET", WELL_KNOWN, "/server", auth=Auth.NONE)
class WellKnownServer(Servlet):
    """Section "Server discovery" of the server-server API: other servers come to port 443."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._is_served = hs.config.server.serve_server_wellknown
        host, colon, port = hs.name.rpartition(":")
        # The colons of an IPv6 address are inside of brackets.
        self._host = host if colon and port.isdigit() else hs.name

    async def answer(self, request: Request) -> JsonDict:
        if not self._is_served:
            raise NotFoundError("serve_server_wellknown is not enabled")
        return {"m.server": f"{self._host}:443"}


@endpoint("GET", WELL_KNOWN, "/support", auth=Auth.NONE)
class WellKnownSupport(Servlet):
    """Section "Homeserver Administrator Contact and Support Page" of the client-server API."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._contact = hs.config.server.admin_contact

    async def answer(self, request: Request) -> JsonDict:
        if self._contact is None:
            raise NotFoundError("admin_contact is not configured")
        if self._contact.startswith(("https://", "http://")):
            return {"support_page": self._contact}
        contact = {"role": "m.role.admin"}
        if self._contact.startswith("@"):
            contact["matrix_id"] = self._contact
        else:
            contact["email_address"] = self._contact.removeprefix("mailto:")
        return {"contacts": [contact]}


SERVLETS: tuple[type[Servlet], ...] = (WellKnownClient, WellKnownServer, WellKnownSupport)
