"""Imports go downwards only, never in a circle, and stand at the top of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import TestCase

PACKAGE = Path(__file__).parent.parent.parent / "synapse_lite"

LAYERS = (
    {"types", "util", "logging"},
    {"api", "config"},
    {"server", "streams", "events", "crypto"},
    {"storage", "http"},
    {"replication", "state", "notifier"},
    {"federation", "push", "appservice", "media", "sync"},
    {"handlers"},
    {"rest"},
    {"app"},
)

# Neighbours in a layer that may be imported, in one direction.
SIDEWAYS = {
    ("events", "crypto"),  # event hashes and signatures are made of keys
    ("server", "crypto"),  # a Homeserver has a signing key
    ("logging", "util"),
    ("types", "util"),
}


def layer_of(package: str) -> int:
    """The number of the layer that a top-level package or module is in."""
    return next(number for number, layer in enumerate(LAYERS) if package in layer)


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its dotted name below the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if parts:
            yield ".".join(parts), path


def imports_of(name: str, path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """What a module imports from this package, as dotted names below it."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("synapse_lite."):
                    yield alias.name.removeprefix("synapse_lite."), node
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            elif (node.module or "").startswith("synapse_lite"):
                target = (node.module or "").removeprefix("synapse_lite").strip(".")
            else:
                continue
            for alias in node.names:
                yield f"{target}.{alias.name}".strip("."), node


KNOWN = dict(modules())


def module_named(dotted: str) -> str | None:
    """The module that a dotted name is, or that defines it."""
    while dotted:
        if dotted in KNOWN:
            return dotted
        dotted = dotted.rpartition(".")[0]
    return None


class LayersTestCase(TestCase):
    """The rows of docs/architecture.md."""

    def test_every_package_has_a_layer(self) -> None:
        for name in KNOWN:
            top = name.split(".")[0]
            self.assertTrue(any(top in layer for layer in LAYERS), top)

    def test_imports_go_down(self) -> None:
        wrong = []
        for name, path in KNOWN.items():
            own = name.split(".")[0]
            for target, _ in imports_of(name, path):
                module = module_named(target)
                if module is None or module.split(".")[0] == own:
                    continue
                other = module.split(".")[0]
                if layer_of(other) < layer_of(own) or (own, other) in SIDEWAYS:
                    continue
                wrong.append(f"{name} imports {module}")
        self.assertEqual(wrong, [])

    def test_no_circle_of_modules(self) -> None:
        graph = {
            name: {
                module
                for target, _ in imports_of(name, path)
                if (module := module_named(target)) is not None and module != name
            }
            for name, path in KNOWN.items()
        }
        finished: set[str] = set()

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                self.fail("Imports in a circle: " + " -> ".join((*trail, name)))
            if name in finished:
                return
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            finished.add(name)

        for name in graph:
            visit(name, ())

    def test_no_hidden_imports(self) -> None:
        hidden = []
        for name, path in KNOWN.items():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                    inner = [
                        n for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))
                    ]
                    hidden += [f"{name}:{n.lineno}" for n in inner]
                elif isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
                    hidden.append(f"{name}:{node.lineno}")
        self.assertEqual(sorted(set(hidden) - HIDDEN_ON_PURPOSE), [])

    def test_no_bare_ensure_deferred(self) -> None:
        found = [
            f"{name}:{node.lineno}"
            for name, path in KNOWN.items()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if (isinstance(node, ast.Attribute) and node.attr == "ensureDeferred")
            or (isinstance(node, ast.Name) and node.id == "ensureDeferred")
        ]
        self.assertEqual(found, [])


# Imports inside functions that have to be there, each with its reason in the code.
HIDDEN_ON_PURPOSE: set[str] = set()
