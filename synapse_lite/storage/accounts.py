"""What every worker reads of accounts: who makes a request, and how users are called."""

from __future__ import annotations

from .access_tokens import AccessTokensWorkerStore
from .profile import ProfileWorkerStore
from .registration import RegistrationWorkerStore


class AccountsWorkerStore(
    RegistrationWorkerStore,
    AccessTokensWorkerStore,
    ProfileWorkerStore,
):
    """Users, access tokens and profiles."""
