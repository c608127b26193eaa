"""The folder of a quickstart, and how it ends; processes are not started here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.trial import unittest

from synapse_lite.app.slctl import _quickstart
from synapse_lite.app.slctl._children import Child, ChildDiedError, Children, Stopped
from synapse_lite.app.slctl._fleet import read_fleet
from synapse_lite.app.slctl._quickstart import PUBLIC_PORT, Quickstart, can_listen
from synapse_lite.app.slctl._users import RegistrationFailedError


@attrs.define(eq=False)
class FakeProcess:
    """A process that ends when it is told to."""

    name: str
    history: list[str]
    code: int | None = None

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.history.append(f"terminate {self.name}")
        self.code = 0

    def kill(self) -> None:
        self.history.append(f"kill {self.name}")

    def wait(self, timeout: float | None = None) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired(self.name, timeout or 0)
        return self.code


class FakeChildren(Children):
    """Everything is up at once; `ending` is what happens when all is up."""

    def __init__(self, ending: Exception) -> None:
        super().__init__()
        self.history: list[str] = []
        self.commands: dict[str, Sequence[str]] = {}
        self._ending = ending

    def watch_signals(self) -> None:
        """Signals stay those of the test run."""

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        folder: str,
        output: str,
        log_files: Sequence[str] = (),
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> Child:
        self.history.append(f"start {name}")
        self.commands[name] = arguments
        process: Any = FakeProcess(name, self.history)
        child = Child(name, process, (output, *log_files))
        self.running.append(child)
        return child

    def wait(self, seconds: float | None = None) -> None:
        if isinstance(self._ending, ChildDiedError):
            raise ChildDiedError(self.running[0], 9)
        raise self._ending

    def wait_until(self, is_so: Callable[[], bool], seconds: float, what: str) -> None:
        self.history.append(what)


class QuickstartTestCase(unittest.TestCase):
    """One folder, several runs."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        self.said: list[str] = []
        self.registered: list[tuple[str, str, bool]] = []
        self.refusal: RegistrationFailedError | None = None
        self.patch(_quickstart, "say", lambda kind, text: self.said.append(text))
        self.patch(_quickstart, "register_user", self._register)
        self.patch(_quickstart, "can_listen", lambda address, port: True)
        self.patch(_quickstart, "find_nginx", lambda: None)

    def _register(self, url: str, secret: str, name: str, password: str, *, admin: bool) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.registered.append((name, password, admin))
        return f"@{name}:localhost"

    def quick(self, nginx: str | None, ending: Exception | None = None) -> FakeChildren:
        quickstart = Quickstart(self.folder, nginx)
        children = FakeChildren(ending or Stopped("SIGINT"))
        quickstart.children = children
        self.code = quickstart.run()
        return children

    def _read(self, name: str) -> str:
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def test_with_nginx_all_processes_run_and_stop_in_order(self) -> None:
        history = self.quick("/usr/sbin/nginx").history
        self.assertEqual(self.code, 0)
        self.assertEqual(history[0], "start master")
        stops = [line.removeprefix("terminate ") for line in history if "terminate" in line]
        self.assertEqual(
            stops, ["client_reader", "event_creator", "synchrotron", "nginx", "master"]
        )

    def test_without_nginx_the_master_listens_on_the_public_port(self) -> None:
        children = self.quick(None)
        self.assertEqual(list(children.commands), ["master"])
        files = [word for word in children.commands["master"] if word.endswith(".yaml")]
        master = read_fleet(files).master
        assert master is not None
        self.assertEqual([listener.port for listener in master.listeners], [PUBLIC_PORT])

    def test_the_mode_may_change_between_runs(self) -> None:
        for nginx in ("/usr/sbin/nginx", None, "/usr/sbin/nginx"):
            self.quick(nginx)
            self.assertEqual(self.code, 0, self.said)

    def test_the_second_run_keeps_what_the_first_made(self) -> None:
        self.quick("/usr/sbin/nginx")
        before = self._read("homeserver.yaml"), self._read("admin-password")
        self.quick("/usr/sbin/nginx")
        self.assertEqual((self._read("homeserver.yaml"), self._read("admin-password")), before)
        self.assertEqual(len(self.registered), 1)

    def test_the_admin_can_log_in_with_what_is_printed_and_kept(self) -> None:
        self.quick(None)
        name, password, admin = self.registered[0]
        self.assertEqual((name, admin), ("admin", True))
        self.assertIn(password, "\n".join(self.said))
        self.assertEqual(self._read("admin-password").strip(), password)
        mode = os.stat(os.path.join(self.folder, "admin-password")).st_mode
        self.assertEqual(mode & 0o777, 0o600)

    def test_the_password_is_printed_only_once(self) -> None:
        self.quick(None)
        self.said.clear()
        self.quick(None)
        self.assertNotIn(self.registered[0][1], "\n".join(self.said))

    def test_no_password_is_kept_of_an_admin_that_was_there(self) -> None:
        self.refusal = RegistrationFailedError("Taken", "M_USER_IN_USE")
        self.quick(None)
        self.assertEqual(self.code, 0)
        self.assertNotIn("admin-password", os.listdir(self.folder))

    def test_a_refused_registration_stops_everything(self) -> None:
        self.refusal = RegistrationFailedError("No", "M_FORBIDDEN")
        children = self.quick("/usr/sbin/nginx")
        self.assertEqual(self.code, 1)
        self.assertEqual(children.running, [])

    def test_when_a_child_dies_all_stop(self) -> None:
        fake: Any = FakeProcess("x", [])
        children = self.quick("/usr/sbin/nginx", ChildDiedError(Child("x", fake, ()), 9))
        self.assertEqual(self.code, 1)
        self.assertEqual(children.running, [])
        self.assertIn("master ended with code 9", self.said[-1])

    def test_a_port_in_use_is_named_before_anything_starts(self) -> None:
        self.patch(_quickstart, "can_listen", lambda address, port: port != 18012)
        children = self.quick("/usr/sbin/nginx")
        self.assertEqual(self.code, 1)
        self.assertEqual(children.history, [])
        self.assertIn("Port 18012 (for client_reader) is in use", self.said[-1])


class CanListenTestCase(unittest.TestCase):
    """Whether a port is free."""

    def test_a_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.assertFalse(can_listen("127.0.0.1", server.getsockname()[1]))

    def test_an_address_of_others(self) -> None:
        self.assertFalse(can_listen("192.0.2.1", 0))

    def test_a_free_port(self) -> None:
        self.assertTrue(can_listen("127.0.0.1", 0))
