"""Starting and stopping a process: the same named steps for every kind.

`Runner.start` reads as a table of contents; `Runner.stop` undoes it backwards.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError

from .. import __version__
from ..config import Config, ConfigError, read_config
from ..http.listen import Listening, listen
from ..logging.setup import LoggingSetupError, reopen_log_files, setup_logging
from ..replication.master import ReplicationPublisher
from ..replication.worker import ReplicationFollower
from ..rest import SERVLETS
from ..server import Homeserver
from ..storage._base import FollowerStore, MasterStore
from ..storage.database import DatabasePool
from ..storage.engines import create_engine
from ..storage.errors import StoreError
from ..storage.heartbeats import Heart
from ..storage.leases import MASTER_LEASE, LeaseKeeper
from ..storage.processes import ProcessIdentity
from ..storage.schema.prepare import prepare_core, prepare_database, wait_for_database
from ..util.background import run_in_background
from ..util.clock import Clock
from ..util.metrics import REGISTRY
from ._files import (
    StartError,
    apply_limits,
    daemonize,
    leave_terminal,
    load_signing_key,
    notify_systemd,
    remove_pid_file,
    write_pid_file,
)
from ._process import Process

logger = logging.getLogger(__name__)
