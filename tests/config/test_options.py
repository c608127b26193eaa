"""The declaration of options and the reading of groups, tuples, mappings and secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping

from twisted.trial import unittest

from synapse_lite.config._options import group, option, options_of, section, section_info
from synapse_lite.config._problems import Source
from synapse_lite.config._reading import Entry, Reader, top_level_names
from tests.config.helpers import ConfigTestCase


@group
class Colour:
    """A value inside a section."""

    red: int = option(doc="Red.")
    green: int = option(default=5, doc="Green.")


@section("paint_", title="Paint")
class PaintConfig:
    """A section with a prefix."""

    wall: Colour = option(default=Colour(red=1), doc="The wall.")
    doors: tuple[Colour, ...] = option(default=(), doc="The doors.")
    by_room: Mapping[str, Colour] = option(default={}, doc="The rooms.")
    names: tuple[str, ...] = option(default=(), doc="Names.", alias="old_paint_names")
    password: str | None = option(default=None, doc="A secret.", secret=True)


class DeclarationTestCase(unittest.TestCase):
    """What a class must declare."""

    def test_an_option_needs_a_doc(self) -> None:
        self.assertRaises(TypeError, option, default=1, doc=" ")

    def test_an_attribute_must_be_an_option(self) -> None:
        def declare() -> None:
            @section(title="Bad")
            class _Bad:
                size: int = 3

        self.assertRaises(TypeError, declare)

    def test_keys(self) -> None:
        self.assertEqual(section_info(PaintConfig).key("wall"), "paint_wall")
        self.assertEqual(
            top_level_names(PaintConfig),
            {
                "paint_wall",
                "paint_doors",
                "paint_by_room",
                "paint_names",
                "old_paint_names",
                "paint_password",
                "paint_password_path",
            },
        )

    def test_types_are_resolved(self) -> None:
        self.assertEqual([hint for _, hint, _ in options_of(Colour)], [int, int])


class ReaderTestCase(ConfigTestCase):
    """Values of every shape."""

    def setUp(self) -> None:
        self.source = Source("f.yaml", os.path.abspath(self.mktemp()))
        os.mkdir(self.source.folder)
        self.reader = Reader(self.source)

    def read_paint(self, **values: object) -> PaintConfig:
        top = {key: Entry(value, self.source) for key, value in values.items()}
        read = self.reader.read_section(PaintConfig, top)
        assert isinstance(read, PaintConfig)
        return read

    def faults(self, **values: object) -> list[str]:
        top = {key: Entry(value, self.source) for key, value in values.items()}
        self.assertIsNone(self.reader.read_section(PaintConfig, top))
        return [problem.key for problem in self.reader.problems]

    def test_a_group_completes_its_default(self) -> None:
        self.assertEqual(self.read_paint(paint_wall={"green": 9}).wall, Colour(red=1, green=9))

    def test_groups_in_lists_and_mappings(self) -> None:
        read = self.read_paint(paint_doors=[{"red": 2}], paint_by_room={"hall": {"red": 3}})
        self.assertEqual(read.doors, (Colour(red=2),))
        self.assertEqual(read.by_room, {"hall": Colour(red=3)})

    def test_faults_in_them_are_named(self) -> None:
        self.assertEqual(
            self.faults(
                paint_doors=[{"red": 2}, {"green": 2}, 7],
                paint_by_room={"hall": {"red": "x"}},
                paint_names={"a": 1},
            ),
            ["paint_doors[1].red", "paint_doors[2]", "paint_by_room.hall.red", "paint_names"],
        )

    def test_an_older_name(self) -> None:
        self.assertEqual(self.read_paint(old_paint_names=["a"]).names, ("a",))
        self.assertEqual(self.read_paint(old_paint_names=["a"], paint_names=["b"]).names, ("b",))
        self.assertEqual(self.faults(old_paint_names=[1]), ["old_paint_names[0]"])

    def test_one_text_is_a_list_of_one(self) -> None:
        self.assertEqual(self.read_paint(paint_names="a").names, ("a",))

    def test_a_secret_from_a_file(self) -> None:
        with open(os.path.join(self.source.folder, "secret"), "w", encoding="utf-8") as stream:
            stream.write("  hush\n")
        self.assertEqual(self.read_paint(paint_password_path="secret").password, "hush")

    def test_a_secret_file_that_is_missing(self) -> None:
        self.assertEqual(self.faults(paint_password_path="nowhere"), ["paint_password_path"])
        self.assertIn("nowhere", self.reader.problems[0].message)

    def test_a_secret_file_that_is_empty(self) -> None:
        with open(os.path.join(self.source.folder, "secret"), "w", encoding="utf-8") as stream:
            stream.write("\n")
        self.assertEqual(self.faults(paint_password_path="secret"), ["paint_password_path"])

    def test_a_secret_given_twice(self) -> None:
        self.assertEqual(
            self.faults(paint_password_path="secret", paint_password="x"),
            ["paint_password_path"],
        )
