# -*- test-case-name: tests.test_testing_certificates -*-
"""
Places in memory from which CRLs, OCSP responses and issuers' certificates come.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..interfaces import IRetriever


@implementer(IRetriever)
class MemoryWeb:
    """
    A web with these places, for whatever takes an C{IRetriever}.

    @ivar answers: what is at which URL, or below it: bytes, an error to fail
        with, an error's class to raise, a Deferred, or a function that gets the
        OCSP request and returns bytes; or a C{dict} of these for C{"GET"} and
        C{"POST"}.  Elsewhere connections are refused.
    @ivar asked: the method and place of each request.
    @ivar arguments: what else each request said.
    """

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        """
        @param answers: see the attribute.
        """
        self.answers = {} if answers is None else answers
        self.asked: list[tuple[str, str]] = []
        self.arguments: list[dict[str, Any]] = []

    def retrieve(
        self,
        url: str,
        *,
        body: bytes | None = None,
        contentType: str | None = None,
        limit: int,
        timeout: float,
    ) -> Deferred[bytes]:
        """
        See C{IRetriever}.
        """
        place = next((each for each in self.answers if url.startswith(each)), url)
        method = "GET" if body is None else "POST"
        self.asked.append((method, place))
        self.arguments.append(
            {"url": url, "contentType": contentType, "limit": limit, "timeout": timeout}
        )
        answer = self.answers.get(place, OSError("connection refused"))
        if isinstance(answer, dict):
            answer = answer[method]
        if isinstance(answer, type):
            raise answer("raised")
        if isinstance(answer, Deferred):
            return answer
        if isinstance(answer, Exception):
            return fail(answer)
        if callable(answer):
            request = unquote(url.rpartition("/")[2])
            answer = answer(base64.b64decode(request) if body is None else body)
        return succeed(answer)
