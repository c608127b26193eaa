"""Options that move duties off the master."""

from __future__ import annotations

from synapse_lite.config._options import option, section


@section(title="Duties")
class DutiesConfig:
    """Work that exactly one process does. False in the master's file, once a worker does it."""

    send_federation: bool = option(
        default=True, doc="Send events and ephemeral data to other servers."
    )
    start_pushers: bool = option(default=True, doc="Send push notifications.")
    notify_appservices: bool = option(default=True, doc="Send events to application services.")
    update_user_directory: bool = option(
        default=True,
        doc="Keep the user directory up to date. The master does so whatever is said here, "
        "because it alone writes; false has no effect but a warning.",
    )
