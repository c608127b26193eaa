"""The generated sample and reference."""

from __future__ import annotations

import attrs
import yaml

from synapse_lite.config import config_from_dict, read_config
from synapse_lite.config._options import options_of, section_info
from synapse_lite.config._sample import render_reference, render_sample
from synapse_lite.config.root import sections
from tests.config.helpers import ConfigTestCase


def switch_on(sample: str) -> str:
    """The sample with every value counting: the mark before values taken away."""
    return "\n".join(
        line[1:] if (line.startswith("#") and line[1:2] != " ") or line.startswith("#  ") else line
        for line in sample.splitlines()
        if not line.startswith("##")
    )


class SampleTestCase(ConfigTestCase):
    """What an operator copies and edits."""

    def test_as_it_is_it_means_the_defaults(self) -> None:
        read = read_config([self.write("sample.yaml", render_sample())])
        self.assertEqual(
            attrs.evolve(read, files=()),
            config_from_dict({"server_name": "example.com"}, self.folder),
        )

    def test_every_option_can_be_switched_on(self) -> None:
        text = switch_on(render_sample())
        read = read_config([self.write("sample.yaml", text.replace("a long random text", "x y z"))])
        self.assertEqual(read.warnings, ())

    def test_switched_on_it_names_every_option(self) -> None:
        values = yaml.safe_load(switch_on(render_sample()))
        for cls in sections().values():
            info = section_info(cls)
            where = values[info.nested_key] if info.nested_key else values
            for name, _, declared in options_of(cls):
                key = name if info.nested_key else info.key(name)
                self.assertIn(key, where)
                self.assertIsNotNone(where[key], f"{key} shows neither default nor example")
                self.assertIsNotNone(declared.doc)

    def test_defaults_shown_are_the_defaults(self) -> None:
        lines = render_sample().splitlines()
        self.assertIn("#max_upload_size: 50M", lines)
        self.assertIn("#bcrypt_rounds: 12", lines)
        self.assertIn("#  total_size: 64M", lines)


class ReferenceTestCase(ConfigTestCase):
    """The page with one row per option."""

    def test_every_option_has_a_row(self) -> None:
        page = render_reference()
        for cls in sections().values():
            info = section_info(cls)
            self.assertIn(f"## {info.title}\n", page)
            for name, _, declared in options_of(cls):
                self.assertIn(f"| `{info.key(name)}` | ", page)
                self.assertIn(declared.doc, page)

    def test_groups_are_written_out(self) -> None:
        page = render_reference()
        for key in ("listeners[].port", "rc_login.failed_attempts", "old_signing_keys.*.key"):
            self.assertIn(f"| `{key}` | ", page)

    def test_secrets_tell_of_their_file(self) -> None:
        self.assertIn("`worker_replication_secret_path`", render_reference())
        self.assertIn("`password_config.pepper_path`", render_reference())
