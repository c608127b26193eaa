"""Upload and download of filters."""

from __future__ import annotations

from ...api.errors import ForbiddenError
from ...api.urls import CLIENT
from ...handlers.filters import FiltersHandler, FilterUploads
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


def _check_own(requester: Requester, user_id: str) -> None:
    if requester.user_id != user_id:
        raise ForbiddenError("Filters of other users are theirs alone")


@endpoint("POST", CLIENT, "/user/{user_id}/filter", auth=Auth.GUEST)
class FilterUploadServlet(Servlet):
    """Keeps a filter (client-server API, "Filtering")."""

    def __init__(self, hs: Homeserver) -> None:
        self._uploads = hs.part(FilterUploads)

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        """The id of the filter in the body."""
        _check_own(requester, user_id)
        return {"filter_id": await self._uploads.add(user_id, request.json())}


@endpoint(
    "GET",
    CLIENT,
    "/user/{user_id}/filter/{filter_id}",
    served_by=("client_reader", "synchrotron"),
    auth=Auth.GUEST,
)
class FilterServlet(Servlet):
    """Gives a filter back (client-server API, "Filtering")."""

    def __init__(self, hs: Homeserver) -> None:
        self._filters = hs.part(FiltersHandler)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, filter_id: str
    ) -> JsonDict:
        """The definition, as it was uploaded."""
        _check_own(requester, user_id)
        return await self._filters.get(user_id, filter_id)


SERVLETS = (FilterUploadServlet, FilterServlet)
