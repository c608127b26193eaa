"""Who makes a request."""

from __future__ import annotations

import attrs


@attrs.frozen
class Requester:
    """The user and device that a request was authenticated as.

    `access_token_id` is the row of the token, `app_service_id` the application service that acts
    as this user.
    """

    user_id: str
    device_id: str | None = None
    access_token_id: int | None = None
    is_guest: bool = False
    is_admin: bool = False
    app_service_id: str | None = None
    is_suspended: bool = False
