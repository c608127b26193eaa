"""Parts: how they are found, built and bound."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.config import config_from_dict
from synapse_lite.crypto.signing import generate_signing_key
from synapse_lite.server import Homeserver, WiringError
from synapse_lite.util.clock import Clock


class Interface:
    """Stands for something that processes do differently."""


class Local(Interface):
    def __init__(self, hs: Homeserver) -> None:
        self.name = hs.name


class Part:
    def __init__(self, hs: Homeserver) -> None:
        self.local = hs.part(Interface)


class Chicken:
    def __init__(self, hs: Homeserver) -> None:
        hs.part(Egg)


class Egg:
    def __init__(self, hs: Homeserver) -> None:
        hs.part(Chicken)


class WorkerStore:
    is_store = True


class Store(WorkerStore):
    pass


def make_hs(bindings: dict[type, type] | None = None) -> Homeserver:
    reactor: Any = FakeReactor()
    return Homeserver(
        config_from_dict({"server_name": "test"}),
        Clock(reactor),
        reactor,
        signing_key=generate_signing_key("1"),
        process_name="client_reader",
        instance_name="reader1",
        bindings=bindings,
    )


class PartsTestCase(TestCase):
    """`Homeserver.part`."""

    def test_one_instance(self) -> None:
        hs = make_hs({Interface: Local})
        part = hs.part(Part)
        self.assertIs(hs.part(Part), part)
        self.assertIs(hs.part(Interface), part.local)
        self.assertIs(hs.part(Local), part.local)
        self.assertIsInstance(part.local, Local)

    def test_a_circle_is_named(self) -> None:
        with self.assertRaises(WiringError) as caught:
            make_hs().part(Chicken)
        self.assertIn("Chicken -> Egg -> Chicken", str(caught.exception))

    def test_after_a_failure_parts_can_be_asked_again(self) -> None:
        hs = make_hs({Interface: Local})
        self.assertRaises(WiringError, hs.part, Chicken)
        self.assertIsInstance(hs.part(Part), Part)

    def test_a_store_is_found_by_each_of_its_classes(self) -> None:
        hs = make_hs()
        store = Store()
        hs.provide_store(store)
        self.assertIs(hs.part(WorkerStore), store)
        self.assertIs(hs.part(Store), store)

    def test_a_missing_store_is_named_with_the_process(self) -> None:
        hs = make_hs()
        hs.provide_store(WorkerStore())
        with self.assertRaises(WiringError) as caught:
            hs.part(Store)
        self.assertEqual(str(caught.exception), "client_reader has no Store")

    def test_provided_parts_win(self) -> None:
        hs = make_hs({Interface: Local})
        mine = Interface()
        hs.provide(Interface, mine)
        self.assertIs(hs.part(Part).local, mine)

    def test_whose_identifier(self) -> None:
        hs = make_hs()
        self.assertTrue(hs.is_mine("@user:test"))
        self.assertFalse(hs.is_mine("@user:test:8448"))
        self.assertFalse(hs.is_mine("@user:elsewhere"))
