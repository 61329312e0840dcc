"""
What one run of L{tests.campaigns.interleavings} will do: everything follows from
the seed, and nothing from what happens.

So the same seed is the same plan on every version of Python and of OpenSSL, and
a plan from which steps were taken is a plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from txsslstream import SslProtocols

#: The two ends.
SIDES = ("client", "server")


class Step(NamedTuple):
    """
    Something to do.

    @ivar where: one of L{SIDES}: with that end, or with what it has sent; or
        C{"clock"}.
    @ivar what: see L{tests.campaigns._interleaving_ends} and
        L{tests.campaigns._interleaving_wire}.
    @ivar number: how much of it, or which.
    """

    where: str
    what: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.where}.{self.what}({self.number})"


class Behaviour(NamedTuple):
    """
    What a callback does.

    @ivar answer: C{"accept"}, C{"refuse"}, C{"nothing"} (L{None}), C{"wrong"} (a
        value that is no answer), C{"raise"}, C{"base"} (a C{BaseException}).
    @ivar when: C{"now"}, C{"fired"} (by a Deferred that has fired), C{"coroutine"},
        C{"later"} (when a step says so, and once more after that), C{"unfriendly"}
        (the same by a Deferred that raises when it is cancelled), C{"never"}.
    """

    answer: str
    when: str

    def __str__(self) -> str:
        return f"{self.answer} {self.when}"


class Hook(NamedTuple):
    """
    What an application does from within something that it is told.

    @ivar event: what is awaited: the name of an operation that fires, or of what
        an application is told.
    @ivar skips: so many times nothing is done.
    """

    event: str
    skips: int
    step: Step

    def __str__(self) -> str:
        return f"at {self.event}+{self.skips}: {self.step}"


@dataclass(frozen=True)
class EndPlan:
    """
    One end.

    @ivar kind: C{"stream"} (an L{SslStream} put on a connected transport),
        C{"connected"} (one that an endpoint makes), or C{"push"} (a protocol that
        an endpoint connects).
    @ivar asks: the callbacks that there are: C{"validation"}, C{"selection"},
        C{"options"}.
    @ivar behaviours: what they do, in the order of their being asked.
    """

    kind: str
    asks: tuple[str, ...]
    behaviours: tuple[Behaviour, ...]
    hooks: tuple[Hook, ...]
    handshakeTimeout: float | None
    shutdownTimeout: float | None
    readTimeout: float | None
    writeTimeout: float | None
    leavesOpen: bool
    isHalfCloseable: bool
    requiresCloseNotify: bool

    def __str__(self) -> str:
        flags = [
            name
            for name, value in (
                ("left open", self.leavesOpen),
                ("half-closeable", self.isHalfCloseable),
                ("close_notify not required", not self.requiresCloseNotify),
            )
            if value
        ]
        times = (
            self.handshakeTimeout,
            self.shutdownTimeout,
            self.readTimeout,
            self.writeTimeout,
        )
        return (
            f"{self.kind}{''.join(f', {each}' for each in flags)}; time-outs (handshake, "
            f"shutdown, read, write): {', '.join(map(str, times))}; asks: "
            f"{', '.join(self.asks) or 'nobody'}; answers: "
            f"{', '.join(map(str, self.behaviours))}; hooks: "
            f"{', '.join(map(str, self.hooks)) or 'none'}"
        )


@dataclass(frozen=True)
class Plan:
    """
    One run.

    @ivar isMutual: whether the server asks for a certificate at the beginning.
    @ivar hasIdentity: whether the client has one.
    @ivar isBad: whether the server's certificate is for another name.
    @ivar isResumed: whether an earlier session can go on.
    @ivar renegotiates: whether other handshakes are permitted (TLS 1.2).
    @ivar rekeyed: whose records are changed under their keys (TLS 1.3), or "".
    @ivar finale: how it ends: C{"orderly"}, C{"cut"}, C{"abort"}, C{"vanish"}.
    """

    seed: int
    profile: str
    version: SslProtocols
    isMutual: bool
    hasIdentity: bool
    isBad: bool
    isResumed: bool
    renegotiates: bool
    rekeyed: str
    client: EndPlan
    server: EndPlan
    steps: tuple[Step, ...]
    finale: str

    def end(self, side: str) -> EndPlan:
        """
        @return: the plan of one of L{SIDES}.
        """
        return self.client if side == "client" else self.server

    def __str__(self) -> str:
        flags = [
            name
            for name, value in (
                ("mutual", self.isMutual),
                ("client has a certificate", self.hasIdentity),
                ("server's certificate is bad", self.isBad),
                ("resumed", self.isResumed),
                ("renegotiates", self.renegotiates),
                (f"{self.rekeyed} rekeyed", bool(self.rekeyed)),
            )
            if value
        ]
        lines = [
            f"{self.profile}: {self.version.name}{''.join(f', {each}' for each in flags)}",
            f"client: {self.client}",
            f"server: {self.server}",
            *(f"{number:3}  {step}" for number, step in enumerate(self.steps)),
            f"finale: {self.finale}",
        ]
        return "\n".join(lines)

    def without(self, start: int, end: int) -> Plan:
        """
        @return: the same without some steps.
        """
        return replace(self, steps=self.steps[:start] + self.steps[end:])


#: What an application does, and how often compared with the rest.
_CALLS = {
    "read": 12,
    "readExactly": 3,
    "readUntil": 3,
    "cancelRead": 3,
    "write": 12,
    "writeMuch": 2,
    "flush": 1,
    "answer": 8,
    "inspect": 2,
    "whenAuthenticated": 1,
    "whenClosed": 1,
    "pause": 1,
    "resume": 2,
}
_MOVES = {"move": 22, "moveAll": 14, "pump": 5, "turn": 8, "wait": 3}
_ENDS = {"shutdown": 3, "close": 3, "unwrap": 2, "end": 2, "negotiate": 2}
_IMPATIENCE = {
    "cancel": 8,
    "abort": 2,
    "close": 4,
    "shutdown": 3,
    "unwrap": 2,
    "authenticate": 2,
    "negotiate": 3,
    "waitLong": 2,
    "end": 2,
    "finish": 1,
}
_LOAD = {"writeMuch": 12, "moveAll": 4, "pump": 1, "cancel": 8, "waitLong": 3, "abort": 1}
_FAULTS = {
    "cut": 1,
    "reset": 1,
    "corrupt": 2,
    "drop": 1,
    "garbage": 2,
    "alert": 1,
    "hold": 1,
    "release": 1,
    "handshake": 1,
}
_SECRETS = {"rekey": 3, "idle": 1, "secretAlert": 1, "secretClose": 1}

#: What is done in each kind of run.
PROFILES: dict[str, dict[str, int]] = {
    # Nobody means harm, so that everything has to arrive.
    "peaceful": {**_CALLS, **_MOVES},
    "asking": {**_CALLS, **_MOVES, "negotiate": 8, "answer": 12, "pump": 12},
    "closing": {**_CALLS, **_MOVES, **_ENDS},
    "impatient": {**_CALLS, **_MOVES, **_IMPATIENCE},
    "faulty": {**_CALLS, **_MOVES, **_ENDS, **_FAULTS},
    "hostile": {**_CALLS, **_MOVES, **_IMPATIENCE, **_FAULTS},
    # Much is written, and taken slowly.
    "loaded": {**_CALLS, **_MOVES, **_ENDS, **_LOAD},
    "keyed": {**_CALLS, **_MOVES, **_ENDS, **_SECRETS},
}

#: Those in which callbacks accept, and those in which nobody is impatient either.
_CALM = ("peaceful", "keyed", "asking")
_WELL_MEANT = (*_CALM, "loaded")

_EVENTS = (
    "validation",
    "selection",
    "options",
    "dismissed",
    "authenticate",
    "authenticated",
    "refused",
    "read",
    "readFailed",
    "write",
    "writeFailed",
    "data",
    "ended",
    "lost",
    "close",
    "negotiate",
    "whenClosed",
)

_SIZES = (1, 2, 5, 17, 100, 300, 1000, 5000)


def _behaviour(random: Random, isGood: bool) -> Behaviour:
    when = random.choice(("now", "now", "fired", "coroutine", "later", "later", "unfriendly"))
    if isGood or random.random() < 0.75:
        return Behaviour("accept", "later" if isGood and when == "unfriendly" else when)
    if random.random() < 0.25:
        return Behaviour("accept", "never")
    return Behaviour(random.choice(("refuse", "nothing", "wrong", "raise", "base")), when)


def _number(random: Random, what: str) -> int:
    if what == "writeMuch":
        return random.randint(20_000, 200_000)
    if what == "wait":
        return random.randint(1, 40)
    if what == "waitLong":
        return random.choice((900, 1_100, 4_900, 6_000, 31_000))
    if what in ("rekey", "idle"):
        return random.choice((1, 1, 2, 5, 40))
    return random.randint(0, random.choice(_SIZES))


def _step(random: Random, names: list[str], weights: list[int], rekeyed: str) -> Step:
    what = random.choices(names, weights)[0]
    if what in ("pump", "turn", "wait", "waitLong"):
        return Step("clock", what, _number(random, what))
    where = random.choice(SIDES)
    return Step(rekeyed or where if what in _SECRETS else where, what, _number(random, what))


def _end(random: Random, profile: str, isServer: bool) -> EndPlan:
    isGood = profile in _WELL_MEANT
    kind = random.choice(("stream", "stream", "stream", "connected", "push"))
    asks = [each for each in ("validation", "selection") if random.random() < 0.45]
    if isServer and random.random() < 0.3:
        asks.append("options")
    inside = dict(_CALLS) if profile in _CALM else {**_CALLS, **_ENDS, **_IMPATIENCE}
    inside.pop("waitLong", None)
    inside.pop("end", None)
    names, weights = list(inside), list(inside.values())
    side = SIDES[isServer]
    hooks = []
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        where = side if random.random() < 0.9 else SIDES[not isServer]
        what = random.choices(names, weights)[0]
        step = Step(where, what, _number(random, what))
        hooks.append(Hook(random.choice(_EVENTS), random.choice((0, 0, 0, 1, 2)), step))
    return EndPlan(
        kind=kind,
        asks=tuple(asks),
        behaviours=tuple(_behaviour(random, isGood) for _ in range(8)),
        hooks=tuple(hooks),
        handshakeTimeout=random.choice((30, 30, 5, 1, None)),
        shutdownTimeout=random.choice((5, 5, 1, None)),
        readTimeout=random.choice((None, None, None, 1)),
        writeTimeout=random.choice((None, None, None, 1)),
        leavesOpen=kind == "stream" and random.random() < 0.25,
        isHalfCloseable=random.random() < 0.5,
        requiresCloseNotify=random.random() < 0.85,
    )


def planFor(seed: int) -> Plan:
    """
    @return: the plan of a seed.
    """
    random = Random(seed)
    profile = random.choice(list(PROFILES))
    version = random.choice((SslProtocols.Tls12, SslProtocols.Tls13, SslProtocols.Tls13))
    if profile == "keyed":
        version = SslProtocols.Tls13
    rekeyed = random.choice(SIDES) if profile == "keyed" else ""
    isGood = profile in _WELL_MEANT
    isMutual = profile != "asking" and random.random() < 0.4
    hasIdentity = random.random() < (1 if isGood and isMutual else 0.7)
    client = _end(random, profile, False)
    server = _end(random, profile, True)
    names, weights = list(PROFILES[profile]), list(PROFILES[profile].values())
    steps = [_step(random, names, weights, rekeyed) for _ in range(random.choice((10, 25, 50, 80)))]
    # At the beginning as a rule, so that there is something to disturb.
    if random.random() < 0.5:
        # And often to the end, so that there is a connection.
        steps[:0] = [Step("client", "authenticate"), Step("server", "authenticate")]
        steps.insert(2, Step("clock", "pump"))
    else:
        for side in SIDES:
            at = random.choice((0, 0, 0, 1, 3, 6))
            steps.insert(min(at, len(steps)), Step(side, "authenticate"))
    finales = ("orderly",) if profile in _CALM else ("orderly", "orderly", "cut", "abort", "vanish")
    return Plan(
        seed=seed,
        profile=profile,
        version=version,
        isMutual=isMutual,
        hasIdentity=hasIdentity,
        isBad=not isGood and random.random() < 0.1,
        isResumed=not rekeyed and random.random() < 0.15,
        renegotiates=random.random() < 0.3,
        rekeyed=rekeyed,
        client=client,
        server=server,
        steps=tuple(steps),
        finale=random.choice(finales),
    )
