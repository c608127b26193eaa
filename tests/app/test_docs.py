"""The pages that are made from declarations."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial import unittest

from synapse_lite.app import _docs
from synapse_lite.app.slctl import main
from synapse_lite.app.table import PROCESSES
from synapse_lite.http.endpoint import endpoints_of
from synapse_lite.replication.commands import COMMANDS
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.streams import STREAMS

from ..harness.homeserver import make_master, make_worker


class PagesTestCase(unittest.TestCase):
    """Nothing that is declared is missing."""

    def setUp(self) -> None:
        self.pages = _docs.generated_files()

    def test_endpoints(self) -> None:
        page = self.pages["docs/reference/endpoints.md"]
        for servlet in SERVLETS:
            for declared in endpoints_of(servlet):
                self.assertIn(f"| `{declared.template}` |", page)

    def test_streams_and_their_columns(self) -> None:
        page = self.pages["docs/reference/streams.md"]
        for stream in STREAMS:
            section = page.partition(f"## {stream.name}\n")[2].partition("\n## ")[0]
            columns = [line.split("`")[1] for line in section.splitlines() if "| `" in line]
            self.assertEqual(columns, list(stream.fields))

    def test_processes(self) -> None:
        page = self.pages["docs/reference/workers.md"]
        for process in PROCESSES:
            self.assertIn(f"## {process.name}\n\n{process.purpose}", page)

    def test_commands(self) -> None:
        page = self.pages["docs/reference/commands.md"]
        for name in main.commands:
            self.assertIn(f"### slctl {name}\n", page)
        for command in COMMANDS:
            self.assertIn(f"| `{command.NAME}` |", page)

    def test_tables_are_whole(self) -> None:
        for name, page in self.pages.items():
            widths = {0}
            for line in page.splitlines():
                if not line.startswith("|"):
                    widths = set()
                    continue
                widths.add(line.replace("\\|", "").count("|"))
                self.assertEqual(len(widths), 1, f"{name}: {line}")

    def test_followed_streams_are_those_of_the_running_store(self) -> None:
        master = make_master()
        for process in PROCESSES[1:]:
            store = make_worker(process, master).store
            self.assertEqual(_docs.followed_by(process), [stream.name for stream in store.followed])


class MapTestCase(unittest.TestCase):
    """The map is made from the docstrings of a folder."""

    def test_first_paragraph_of_each_module(self) -> None:
        root = Path(self.mktemp()) / "package"
        os.makedirs(root / "part")
        (root / "__init__.py").write_text('"""All of it."""\n')
        (root / "one.py").write_text('"""Does\none | thing.\n\nAnd more.\n"""\n')
        (root / "part" / "two.py").write_text('"""Does two things."""\n')
        page = _docs.render_map(root)
        self.assertIn("## package\n\nAll of it.", page)
        self.assertIn("| `one.py` | Does one \\| thing. |", page)
        self.assertIn("## package/part\n", page)
        self.assertNotIn("And more", page)
