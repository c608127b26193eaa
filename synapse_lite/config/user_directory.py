"""Options of the user directory."""

from __future__ import annotations

from synapse_lite.config._options import option, section


@section(nested="user_directory", title="User directory")
class UserDirectoryConfig:
    """Whom users find when they search for others by name."""

    enabled: bool = option(
        default=True, doc="Let users search for others. If false nobody is found."
    )
    search_all_users: bool = option(
        default=False,
        doc="Find all users of this server, also those who share no room with the one who "
        "searches and are in none that is open to everybody.",
    )
    prefer_local_users: bool = option(
        default=False, doc="Show users of this server before those of others."
    )
    exclude_remote_users: bool = option(default=False, doc="Find users of this server only.")
    show_locked_users: bool = option(default=False, doc="Find users whose account is locked too.")
