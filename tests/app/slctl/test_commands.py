"""The commands, called as from a shell; nothing is started."""

from __future__ import annotations

import os

from click.testing import CliRunner, Result
from twisted.trial import unittest

from synapse_lite.app.slctl import main
from synapse_lite.app.slctl._options import EXIT_FAILED, EXIT_NOT_RUNNING

from .support import listener, write_master, write_worker


class CommandsTestCase(unittest.TestCase):
    """Exit codes and what is printed."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())

    def _slctl(self, *arguments: str, **kwargs: str) -> Result:
        return CliRunner().invoke(main, arguments, **kwargs)  # type: ignore[arg-type]  # input

    def _generate(self, *arguments: str) -> Result:
        return self._slctl(
            "generate", "--server-name", "test", "--directory", self.folder, *arguments
        )

    def test_what_is_generated_has_no_problems(self) -> None:
        workers = ("event_creator", "synchrotron", "synchrotron")
        result = self._generate(*(word for kind in workers for word in ("--worker", kind)))
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertEqual(
            sorted(os.listdir(os.path.join(self.folder, "workers"))),
            ["event_creator.yaml", "synchrotron1.yaml", "synchrotron2.yaml"],
        )
        checked = self._slctl("check-config", "-c", f"{self.folder}/homeserver.yaml")
        self.assertEqual(checked.exit_code, 0, checked.output)
        self.assertIn("no problem found", checked.stdout)
        self.assertEqual(checked.stderr, "")

    def test_generate_overwrites_nothing(self) -> None:
        self._generate()
        with open(f"{self.folder}/homeserver.yaml", encoding="utf-8") as file:
            before = file.read()
        self.assertEqual(self._generate().exit_code, EXIT_FAILED)
        with open(f"{self.folder}/homeserver.yaml", encoding="utf-8") as file:
            self.assertEqual(file.read(), before)

    def test_check_config_reports_every_problem(self) -> None:
        master = write_master(self.folder, listeners=[listener(99999, "client")])
        write_worker(self.folder, "a", 8083, "nonsense")
        result = self._slctl("check-config", "-c", master)
        self.assertEqual(result.exit_code, EXIT_FAILED)
        self.assertIn("listeners[0].port", result.stderr)

    def test_check_config_warns_of_unknown_options(self) -> None:
        result = self._slctl("check-config", "-c", write_master(self.folder, sever_name="x"))
        self.assertEqual(result.exit_code, 0)
        self.assertIn("sever_name", result.stderr)

    def test_status_of_what_does_not_run(self) -> None:
        result = self._slctl("status", "-c", write_master(self.folder))
        self.assertEqual(result.exit_code, EXIT_NOT_RUNNING)
        self.assertIn("not running", result.output)

    def test_stopping_what_does_not_run_is_no_error(self) -> None:
        self.assertEqual(self._slctl("stop", "-c", write_master(self.folder)).exit_code, 0)

    def test_no_colours_without_a_terminal(self) -> None:
        result = self._slctl("status", "-c", write_master(self.folder))
        self.assertNotIn("\x1b", result.output)

    def test_either_one_worker_or_all(self) -> None:
        master = write_master(self.folder)
        worker = write_worker(self.folder, "a", 8083, "synchrotron")
        result = self._slctl("start", "-c", master, "-w", worker, "-a", f"{self.folder}/workers")
        self.assertEqual(result.exit_code, 2)

    def test_register_needs_the_secret(self) -> None:
        master = write_master(self.folder, registration_shared_secret=None)
        result = self._slctl("register-user", "-c", master, "alice", input="x\nx\n")
        self.assertEqual(result.exit_code, EXIT_FAILED)
        self.assertIn("registration_shared_secret", result.stderr)

    def test_proxy_config(self) -> None:
        master = write_master(self.folder)
        write_worker(self.folder, "sync1", 8083, "synchrotron")
        part = self._slctl("proxy-config", "nginx", "-c", master)
        self.assertEqual(part.exit_code, 0, part.output)
        self.assertIn("server 127.0.0.1:8083 fail_timeout=1s; # sync1", part.stdout)
        self.assertNotIn("http {", part.stdout)
        whole = self._slctl(
            "proxy-config", "nginx", "-c", master, "--print", "--directory", self.folder
        )
        self.assertIn("http {", whole.stdout)
        self.assertIn(f'pid "{self.folder}/nginx.pid";', whole.stdout)

    def test_certificate_without_key(self) -> None:
        master = write_master(self.folder)
        result = self._slctl("proxy-config", "nginx", "-c", master, "--certificate", "x.pem")
        self.assertEqual(result.exit_code, 2)

    def test_every_command_explains_itself(self) -> None:
        for name in main.commands:
            result = self._slctl(name, "--help")
            self.assertEqual(result.exit_code, 0)
            self.assertIn(f"slctl {name}", result.output, "an example")
