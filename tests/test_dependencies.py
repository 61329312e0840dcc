"""
What is imported is declared in setup.cfg, and what is declared is imported.
"""

from __future__ import annotations

import configparser
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import distributions

from twisted.trial.unittest import SynchronousTestCase

from .test_architecture import EXTRAS, PACKAGE, Module, modulesIn, package
from .wheel import ROOT

#: Are the project's own.
OURS = frozenset({PACKAGE, "tests"})


def canonical(name: str) -> str:
    """
    How names of distributions are compared (PyPA's specification of names).
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared(*sections: str) -> frozenset[str]:
    """
    The distributions that sections of setup.cfg name.

    @param sections: names of extras; none for what is always installed.
    """
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    texts = [parser["options"]["install_requires"]]
    texts += [parser["options.extras_require"][section] for section in sections]
    return frozenset(
        canonical(found) for found in re.findall(r"^([\w.-]+)", "\n".join(texts), re.MULTILINE)
    )


@cache
def installed() -> Mapping[str, frozenset[str]]:
    """
    The names of all installed modules, and the distributions that have them.
    """
    found: dict[str, set[str]] = {}
    for each in distributions():
        owner = canonical(each.metadata["Name"])
        for path in each.files or ():
            name = inspect.getmodulename(path.name)
            if name is not None:
                parts = path.parent.parts if name == "__init__" else (*path.parent.parts, name)
                found.setdefault(".".join(parts), set()).add(owner)
    return {name: frozenset(names) for name, names in found.items()}


def providers(target: str) -> frozenset[str]:
    """
    The installed distributions that have the module of a dotted name.
    """
    while target:
        if target in installed():
            return installed()[target]
        target = target.rpartition(".")[0]
    return frozenset()


def foreign(modules: Iterable[Module]) -> Iterator[tuple[str, str]]:
    """
    The modules' names, and what they import that is neither Python's nor ours.
    """
    for module in modules:
        for each in module.imports:
            isKnown = each.target.partition(".")[0] in OURS | sys.stdlib_module_names
            # Where the package is installed, it has a module among Twisted's plugins.
            if not isKnown and not providers(each.target) & OURS:
                yield module.name, each.target


def undeclared(modules: Iterable[Module], *sections: str) -> list[str]:
    """
    Imports of what sections of setup.cfg do not name.
    """
    return [
        f"{name} imports {target}, of {' or '.join(sorted(providers(target))) or 'nobody'}"
        for name, target in foreign(modules)
        if not providers(target) & declared(*sections)
    ]


def unused(modules: Iterable[Module], *sections: str) -> list[str]:
    """
    What sections of setup.cfg name and nobody imports.
    """
    used = {provider for _, target in foreign(modules) for provider in providers(target)}
    return sorted(declared(*sections) - used)


class DependencyTests(SynchronousTestCase):
    """
    setup.cfg and the imports.
    """

    def test_package(self) -> None:
        """
        The package imports nothing but what is installed with it.
        """
        always = [module for module in package() if module.name not in EXTRAS]
        self.assertEqual(undeclared(always), [])
        self.assertEqual(undeclared(modulesIn(ROOT / "twisted" / "plugins")), [])

    def test_extras(self) -> None:
        """
        A module that is an extra imports nothing but what the extra brings.
        """
        for module in package():
            if module.name in EXTRAS:
                self.assertEqual(undeclared([module], module.name), [])
                self.assertNotEqual(undeclared([module]), [])

    def test_tests(self) -> None:
        """
        The tests import nothing but what the extra C{test} brings.
        """
        modules = modulesIn(ROOT / "tests") + modulesIn(ROOT / "tests" / "interop", "interop")
        self.assertEqual(undeclared(modules, "test"), [])

    def test_used(self) -> None:
        """
        What is installed with the package is imported by it.
        """
        self.assertEqual(unused(package()), [])

    def test_undeclared(self) -> None:
        """
        An import of what only a dependency brings is found, wherever it stands.
        """
        source = "def f():\n    from attr import define\nfrom zope.schema import Text\n"
        self.assertEqual(
            undeclared([Module("bad", source)]),
            [
                "bad imports attr.define, of attrs",
                "bad imports zope.schema.Text, of zope-schema",
            ],
        )

    def test_missing(self) -> None:
        """
        An import of what nobody brings is found.
        """
        complaints = undeclared([Module("bad", "import nonesuch.inside")])
        self.assertEqual(complaints, ["bad imports nonesuch.inside, of nobody"])

    def test_unused(self) -> None:
        """
        A dependency that is not imported is found.
        """
        self.assertIn("greenlet", unused([Module("bad", "import twisted")]))
