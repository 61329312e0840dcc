"""
The examples of the documentation, run as the programs that they are.

Each directory in F{docs/examples} is an example: the files that its reader would
have, and F{session.txt}, which says what is typed and what is seen then.  See
L{Session} for its lines.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack
from functools import cache
from importlib import import_module
from pathlib import Path
from random import randrange

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from txsslstream.testing import Authority, certificatePEM, keyPEM

from .interop._tools import LOOPBACK, Background, background, missing, runTool
from .programs import ROOT, environment, temporaryDirectory
from .support import AUTHORITY, CLIENT, SERVER

EXAMPLES = ROOT / "docs" / "examples"
SESSION = "session.txt"

#: Examples that are run otherwise, and by what.
ELSEWHERE = {
    "testing": "tests.test_testing_examples.ExampleTests.test_good",
    "typed": "tests.test_typed.RunningTests.test_member",
}

#: The commands that are this checkout's.
COMMANDS = {
    "python": "",
    "pytest": "-m pytest -p no:cacheprovider",
    "sslstream": "-m txsslstream",
    "trial": "-m twisted.trial",
    "twist": "-c 'from twisted.application.twist._twist import Twist; Twist.main()'",
    "twistd": "-c 'from twisted.scripts.twistd import run; run()'",
}

#: The ports for which others are taken.
_PORT = re.compile(r"(?<![\w.])(?:844\d|808\d|946\d)(?!\w)")

#: What nobody's output has.
_WRONG = re.compile(r"Traceback \(most recent call last\)|Unhandled")

#: In the environment of what is run.
_UNBUFFERED = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@cache
def provided() -> dict[str, bytes]:
    """
    @return: the files that each example finds.
    """
    strangers = Authority("Strangers")
    stranger = strangers.issue("stranger@example.com")
    nameless = AUTHORITY.issue(subject="elsewhere.example")
    return {
        "authority.pem": certificatePEM(AUTHORITY.certificate),
        "server.pem": certificatePEM(SERVER) + keyPEM(SERVER),
        "client.pem": certificatePEM(CLIENT) + keyPEM(CLIENT),
        "nameless.pem": certificatePEM(nameless) + keyPEM(nameless),
        "strangers.pem": certificatePEM(strangers.certificate),
        "stranger.pem": certificatePEM(stranger) + keyPEM(stranger),
    }


def isListenedOn(port: int) -> bool:
    """
    @return: whether somebody listens on a port, who is not bothered.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def unusedPort(taken: Container[str]) -> str:
    """
    @return: a port on which nobody listens, and that no connection gets by
        chance: sessions need it for longer than others do.
    """
    while True:
        port = randrange(20_000, 32_000)
        if str(port) not in taken and not isListenedOn(port):
            return str(port)


class Session:
    """
    What is typed, and what is seen then, line by line:

      - C{needs PROGRAM ...}: these have to be installed.
      - C{permits COMMAND}: this has to succeed, or nothing else is permitted here.
      - C{put OLD => NEW}: replaced in the files.
      - C{NAME& COMMAND}: a program that goes on.
      - C{NAME> PATTERN}: it has said so, behind what was waited for before.
      - C{NAME!}: it is ended.
      - C{listening PORT}: somebody listens there.
      - C{$ COMMAND}: a program that ends.
      - C{exit STATUS}: so it has, if not with 0.
      - C{> PATTERN}: the next line that it has said.
      - C{...}: any number of lines.

    Numbers that look like ports are replaced by free ones, in all files.
    """

    def __init__(self, source: Path, directory: Path) -> None:
        """
        @param source: the example.
        @param directory: an empty one, where it is run.
        """
        self.directory = directory
        self._ports: dict[str, str] = {}
        self._running: dict[str, Background] = {}
        self._seen: dict[str, int] = {}
        lines = (source / SESSION).read_text().splitlines()
        self._lines = [
            _PORT.sub(self._port, line) for line in lines if line and not line.startswith("#")
        ]
        puts = [line[4:].split(" => ") for line in self._lines if line.startswith("put ")]
        used = set()
        for name, data in provided().items():
            (directory / name).write_bytes(data)
        for path in filesOf(source):
            text = path.read_text()
            for old, new in puts:
                if old in text:
                    used.add(old)
                    text = text.replace(old, new)
            copy = directory / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_PORT.sub(self._port, text))
        if unused := {old for old, _ in puts} - used:
            raise AssertionError(f"there is no {unused}")
        commands = directory / ".commands"
        commands.mkdir()
        self._environment = {
            **environment(directory),
            **_UNBUFFERED,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        }
        # Whoever runs them may hand on less than there is in the environment.
        package = f"export PYTHONPATH={shlex.quote(self._environment['PYTHONPATH'])}"
        for name, arguments in COMMANDS.items():
            script = commands / name
            run = f'exec {shlex.quote(sys.executable)} {arguments} "$@"'
            script.write_text(f"#!/bin/sh\n{package}\n{run}\n")
            script.chmod(0o755)

    def _port(self, match: re.Match[str]) -> str:
        if match[0] not in self._ports:
            self._ports[match[0]] = unusedPort(self._ports.values())
        return self._ports[match[0]]

    def _command(self, command: str) -> list[str]:
        return ["env", "-C", str(self.directory), "sh", "-c", command]

    def run(self) -> None:
        """
        Run it.

        @raise AssertionError: something else was seen.
        @raise SkipTest: a foreign program is not there.
        """
        with ExitStack() as stack:
            index = 0
            while index < len(self._lines):
                line = self._lines[index]
                index += 1
                if line.startswith("$ "):
                    start = index
                    while index < len(self._lines) and re.match(
                        r"> |>$|\.\.\.$|exit \d", self._lines[index]
                    ):
                        index += 1
                    self._foreground(line[2:], self._lines[start:index])
                else:
                    self._other(line, stack)
            for name in list(self._running):
                self._end(name)

    def _other(self, line: str, stack: ExitStack) -> None:
        if line.startswith("needs "):
            if reason := missing(*line.split()[1:]):
                raise SkipTest(reason)
        elif line.startswith("permits "):
            permitted = line.removeprefix("permits ")
            ended = runTool(self._command(permitted), environment=self._environment)
            if ended.returncode:
                raise SkipTest(f"not permitted: {permitted}")
        elif match := re.fullmatch(r"(\w+)& (.+)", line):
            command = self._command(f"exec {match[2]}")
            self._running[match[1]] = stack.enter_context(
                background(command, "", environment=self._environment)
            )
            self._seen[match[1]] = 0
        elif match := re.fullmatch(r"(\w+)> (.*)", line):
            name, pattern = match.groups()
            found = self._running[name].waitFor(f"^(?:{pattern})\r?\n", start=self._seen[name])
            self._seen[name] = found.end()
        elif match := re.fullmatch(r"(\w+)!", line):
            self._end(match[1])
        elif match := re.fullmatch(r"listening (\d+)", line):
            self._awaitListening(int(match[1]))
        elif not line.startswith("put "):
            raise AssertionError(f"what is {line!r}?")

    def _foreground(self, command: str, expected: list[str]) -> None:
        status = 0
        pattern = ""
        for line in expected:
            if line.startswith("exit "):
                status = int(line[5:])
            elif line == "...":
                pattern += r"(?:.*\n)*"
            else:
                pattern += f"(?:{line[2:]})\r?\n"
        ended = runTool(
            self._command(f"exec 2>&1; {command}"), timeout=60, environment=self._environment
        )
        said = ended.stdout
        if said and not said.endswith("\n"):
            said += "\n"
        if ended.returncode != status or not re.fullmatch(pattern, said):
            others = "".join(f"\n[{name}]\n{each.output()}" for name, each in self._running.items())
            raise AssertionError(f"$ {command}\n{said}exit {ended.returncode}{others}")

    def _awaitListening(self, port: int) -> None:
        deadline = time.monotonic() + 30
        while not isListenedOn(port):
            said = "".join(each.output() for each in self._running.values())
            if time.monotonic() > deadline or _WRONG.search(said):
                raise AssertionError(f"nobody listens on {port}:\n{said}")
            time.sleep(0.05)

    def _end(self, name: str) -> None:
        """
        End a program that goes on, which it does in good order.
        """
        tool = self._running.pop(name)
        if not tool.isRunning():
            raise AssertionError(f"{name} has ended:\n{tool.output()}")
        tool.terminate()
        tool.wait(10)
        if _WRONG.search(tool.output()):
            raise AssertionError(f"{name}:\n{tool.output()}")


def filesOf(example: Path) -> list[Path]:
    """
    @return: what the reader of an example has.
    """
    return sorted(
        path
        for path in example.rglob("*")
        if path.is_file() and path.name != SESSION and "__pycache__" not in path.parts
    )


def examples() -> Iterator[Path]:
    """
    @return: all examples.
    """
    return (path for path in sorted(EXAMPLES.iterdir()) if path.name != "__pycache__")


def unused(example: Path) -> list[str]:
    """
    @return: the files of an example that nothing runs: neither its session nor
        another file of it names them.
    """
    texts = {path: path.read_text() for path in [*filesOf(example), example / SESSION]}
    found = []
    for path in filesOf(example):
        named = rf"(?<![\w-])(?:{re.escape(path.name)}|{re.escape(path.stem)})(?!\w)"
        if not any(re.search(named, text) for other, text in texts.items() if other != path):
            found.append(path.name)
    return found


class ExampleTests(SynchronousTestCase):
    """
    Each example, by its name.
    """


def _addTest(example: Path) -> None:
    def test(self: ExampleTests) -> None:
        Session(example, temporaryDirectory(self)).run()

    name = re.sub(r"\W", "_", example.name)
    test.__name__ = f"test_{name}"
    test.__doc__ = f"What is typed and seen in F{{docs/examples/{example.name}}} is so."
    setattr(ExampleTests, test.__name__, test)


for _each in examples():
    if _each.name not in ELSEWHERE:
        _addTest(_each)


class HouseTests(SynchronousTestCase):
    """
    What holds for all examples, and how it shows where it does not.
    """

    def example(self, session: str, **files: str) -> Path:
        """
        @return: an example.
        """
        directory = temporaryDirectory(self)
        (directory / SESSION).write_text(session)
        for name, text in files.items():
            (directory / f"{name}.py").write_text(text)
        return directory

    def test_everything(self) -> None:
        """
        Every file under F{docs/examples} belongs to an example, and is run by it.
        """
        for name, test in ELSEWHERE.items():
            self.assertIn(name, [each.name for each in examples()])
            where, _, method = test.rpartition(".")
            module, _, case = where.rpartition(".")
            self.assertTrue(hasattr(getattr(import_module(module), case), method), test)
        for each in examples():
            if each.name in ELSEWHERE:
                continue
            self.assertTrue((each / SESSION).is_file(), f"{each.name} is not run")
            self.assertEqual(unused(each), [], each.name)

    def test_unused(self) -> None:
        """
        A file that nothing names is found, and one that imports nobody but itself.
        """
        example = self.example(
            "$ python first.py\n", first="import second", second="", third="# third.py\n"
        )
        self.assertEqual(unused(example), ["third.py"])

    def assertRuns(self, session: str, complaint: str = "", **files: str) -> None:
        """
        A session is as it says, or there is something to complain about.
        """
        run: Callable[[], None] = Session(
            self.example(session, **files), temporaryDirectory(self)
        ).run
        if complaint:
            self.assertIn(complaint, str(self.assertRaises(AssertionError, run)))
        else:
            run()

    def test_output(self) -> None:
        """
        All that a program prints has to be told, and nothing else; a program that
        fails has to be told as that.
        """
        files = {"first": "print('one')\nprint('two')\n", "failing": "exit('no')"}
        for session, complaint in (
            ("> one\n> two", ""),
            ("> one\n...", ""),
            ("> one", "two"),
            ("> two", "one"),
            ("> one\n> two\n>", "two"),
            ("> on\n> two", "one"),
            ("> one\n> two\nexit 1", "exit 0"),
        ):
            self.assertRuns(f"$ python first.py\n{session}\n", complaint, **files)
        self.assertRuns("$ python failing.py\nexit 1\n> no\n", **files)
        self.assertRuns("$ python failing.py\n> no\n", "exit 1", **files)

    def test_background(self) -> None:
        """
        A program that goes on is alive until it is ended, and has nothing to
        regret; what it is to say is waited for in order.
        """
        going = "import time\nprint('one')\nprint('two')\ntime.sleep(60)\n"
        files = {"going": going, "ending": "print('end')", "bad": f"print('Unhandled')\n{going}"}
        for session, complaint in (
            ("p& python going.py\np> one\np> two", ""),
            ("p& python going.py\np> two\np!", ""),
            ("p& python ending.py\np> end\n$ sleep 0.3", "has ended"),
            ("p& python ending.py\np> begin", "no "),
            ("p& python bad.py\np> two", "Unhandled"),
        ):
            self.assertRuns(f"{session}\n", complaint, **files)

    def test_ports(self) -> None:
        """
        The same port is the same everywhere, and none of those that are written.
        """
        listening = (
            "import socket, time\n"
            "s = socket.create_server(('127.0.0.1', 8443))\n"
            "print(8443, 8442, 84430)\ntime.sleep(60)\n"
        )
        self.assertRuns("p& python l.py\nlistening 8443\np> 8443 8442 84430\n", l=listening)
        example = self.example("$ echo 8443\n")
        self.assertNotIn("8443", Session(example, temporaryDirectory(self))._lines[0])

    def test_words(self) -> None:
        """
        Lines that mean nothing, replacements of nothing and programs that are not
        there are told.
        """
        self.assertRuns("python first.py\n", "what is")
        self.assertRaises(AssertionError, self.assertRuns, "put first => second\n", first="")
        example = self.example("needs no-such-program\n")
        session = Session(example, temporaryDirectory(self))
        self.assertIn("no-such-program", str(self.assertRaises(SkipTest, session.run)))

    def test_permits(self) -> None:
        """
        What is not permitted is skipped, and what is is not.
        """
        for command, failure in (("false", SkipTest), ("true", AssertionError)):
            example = self.example(f"permits {command}\n$ false\n")
            self.assertRaises(failure, Session(example, temporaryDirectory(self)).run)
