# -*- test-case-name: tests.test_testing_streams -*-
"""
What has become of Deferreds, for any test runner.
"""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..enums import SslPolicyErrors, TlsAlert, X509ChainStatusFlags
from ..errors import AuthenticationError

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def _outcomeOf(deferred: Deferred[Any]) -> Any:
    """
    @return: the result or the C{Failure}, which nobody else hears of.
    """
    results: list[Any] = []
    deferred.addBoth(results.append)
    if not results:
        raise AssertionError(f"nothing has come of it: {deferred!r}")
    return results[0]


def resultOf(deferred: Deferred[T]) -> T:
    """
    @return: what a Deferred has fired with.
    @raise AssertionError: it has not fired.
    @raise Exception: what it has failed with.
    """
    outcome = _outcomeOf(deferred)
    if isinstance(outcome, Failure):
        outcome.raiseException()
    result: T = outcome
    return result


def failureOf(deferred: Deferred[Any], kind: type[E]) -> E:
    """
    @return: the error, of exactly this kind, that a Deferred has failed with.
    @raise AssertionError: it has not, or with another.
    """
    outcome = _outcomeOf(deferred)
    if not isinstance(outcome, Failure):
        raise AssertionError(f"no failure, but {outcome!r}")
    error = outcome.value
    if type(error) is not kind:
        raise AssertionError(f"no {kind.__name__}, but {outcome}") from error
    assert isinstance(error, kind)
    return error


def refusalOf(
    deferred: Deferred[Any],
    *,
    sslPolicyErrors: SslPolicyErrors | None = None,
    chainStatus: X509ChainStatusFlags | None = None,
    alert: TlsAlert | None = None,
    alertSent: TlsAlert | None = None,
) -> AuthenticationError:
    """
    @param sslPolicyErrors: what the error has to say, if it matters.
    @param chainStatus: the same.
    @param alert: the same.
    @param alertSent: the same.
    @return: the L{AuthenticationError} that an authentication has failed with.
    @raise AssertionError: it has not, or says something else.
    """
    error = failureOf(deferred, AuthenticationError)
    wanted = {
        "sslPolicyErrors": sslPolicyErrors,
        "chainStatus": chainStatus,
        "alert": alert,
        "alertSent": alertSent,
    }
    differences = [
        f"{name} is {getattr(error, name)!r}, not {value!r}"
        for name, value in wanted.items()
        if value is not None and getattr(error, name) != value
    ]
    if differences:
        raise AssertionError("; ".join(differences)) from error
    return error
