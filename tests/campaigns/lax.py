"""
The sample server with everything enabled that peers can have: old versions, all
cipher suites, renegotiation.  Most of tlsfuzzer's scripts need some of it, and
whoever stands it stands the rest.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver

from txsslstream import (
    CipherSuitesPolicy,
    InvalidOperationError,
    NotSupportedError,
    SslCertificateTrust,
    SslProtocols,
    SslServerAuthenticationOptions,
    SslStream,
    SslStreamCertificateContext,
    TlsCipherSuite,
)
from txsslstream._tap import SampleService
from txsslstream.echo import SampleServer

from ..programs import LISTEN

VERSIONS = SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12 | SslProtocols.Tls13

#: Best first, and of each with 256 bits first, so that clients that offer much get
#: what is usual.
_KINDS = ("TLS_AES", "TLS_CHACHA20", "TLS_ECDHE_", "TLS_DHE_", "TLS_RSA_WITH_AES")


def suites(certificate: SslStreamCertificateContext) -> CipherSuitesPolicy:
    """
    @return: all that OpenSSL has, with encryption and for certificates.
    """

    def isUsable(suite: TlsCipherSuite) -> bool:
        try:
            options = SslServerAuthenticationOptions(
                certificate, cipherSuitesPolicy=CipherSuitesPolicy([suite])
            )
            options.parameters  # noqa: B018
        except (InvalidOperationError, NotSupportedError):
            return False
        return not {"PSK", "DSS", "NULL", "SRP"} & set(suite.name.split("_"))

    return CipherSuitesPolicy(
        suite
        for kind in _KINDS
        for suite in sorted(TlsCipherSuite, key=lambda suite: "_256_" not in suite.name)
        if suite.name.startswith(kind) and isUsable(suite)
    )


class _Answering(SampleServer):
    """
    Answers when a request is whole, as the scripts expect of a web server.
    """

    async def _echo(self, stream: SslStream) -> None:
        request = b""
        async for data in stream:
            request += data
            if request.endswith((b"\n\n", b"\r\n\r\n")):
                await stream.write(b"HTTP/1.0 200 OK\r\n\r\n")
                request = b""


def _run(reactor: Any, arguments: argparse.Namespace) -> Deferred[None]:
    certificate = SslStreamCertificateContext.fromPEM(arguments.certificate)
    server = (_Answering if arguments.answers else SampleServer)(
        SslServerAuthenticationOptions(
            certificate,
            enabledSslProtocols=VERSIONS,
            cipherSuitesPolicy=suites(certificate),
            allowRenegotiation=arguments.renegotiates,
            clientCertificateRequired=arguments.require_client_certificate,
            trust=SslCertificateTrust.fromPEM(arguments.trust) if arguments.trust else None,
            requireCloseNotify=False,
        ),
        SampleService.say,
        reactor,
        echoes=True,
    )
    SampleService(serverFromString(reactor, LISTEN), LISTEN, server, None).privilegedStartService()
    return Deferred()


def main() -> None:
    """
    Listen, with the options of C{twistd sslecho} that campaigns use.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--trust")
    parser.add_argument("--require-client-certificate", action="store_true")
    parser.add_argument("--renegotiates", action="store_true")
    parser.add_argument("--answers", action="store_true")
    arguments = parser.parse_args()
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    react(_run, [arguments])


if __name__ == "__main__":
    main()
