"""What the tests of configuration share."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial import unittest

from synapse_lite.config import Config, ConfigError, config_from_dict, read_config


class ConfigTestCase(unittest.TestCase):
    """Writes configuration files and looks at what reading them says."""

    def write(self, name: str, text: str) -> str:
        """Write a file below a fresh folder of this test; returns its absolute path."""
        if not hasattr(self, "folder"):
            self.folder = os.path.abspath(self.mktemp())
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def read(self, text: str) -> Config:
        """Read one file that holds a server name and `text`."""
        return read_config([self.write("homeserver.yaml", "server_name: example.com\n" + text)])

    def problems(self, text: str) -> list[tuple[str, str]]:
        """Key and message of each problem of such a file; all must name the file."""
        with self.assertRaises(ConfigError) as caught:
            self.read(text)
        found = caught.exception.problems
        for problem in found:
            self.assertEqual(problem.file, os.path.join(self.folder, "homeserver.yaml"))
            self.assertIn(f"{problem.file}: {problem.key}: ", str(caught.exception))
        return [(problem.key, problem.message) for problem in found]

    def assert_problem(self, text: str, key: str, message: str) -> None:
        """The file has exactly this problem."""
        found = self.problems(text)
        self.assertEqual([found_key for found_key, _ in found], [key])
        self.assertIn(message, found[0][1])


def config(**values: Any) -> Config:
    """The configuration of example.com with these top-level keys."""
    return config_from_dict({"server_name": "example.com", **values})
