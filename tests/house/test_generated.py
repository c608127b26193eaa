"""Generated files are what the declarations say."""

from __future__ import annotations

import pathlib

from twisted.trial import unittest

from synapse_lite.app import _docs
from synapse_lite.config._sample import generated_files

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class GeneratedFilesTestCase(unittest.TestCase):
    """Byte for byte; `scripts/generate_config` and `scripts/generate_docs` write them anew."""

    def test_configuration_files(self) -> None:
        for name, content in generated_files().items():
            self.assertEqual(
                (ROOT / name).read_bytes(),
                content.encode("utf-8"),
                f"{name} is out of date: run scripts/generate_config",
            )

    def test_reference_pages(self) -> None:
        for name, content in _docs.generated_files().items():
            self.assertEqual(
                (ROOT / name).read_bytes(),
                content.encode("utf-8"),
                f"{name} is out of date: run scripts/generate_docs",
            )
