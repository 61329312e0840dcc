"""
The client, which reads and writes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint, ITransport

from txsslstream import (
    AuthenticationError,
    ChannelBindingKind,
    SslClientAuthenticationOptions,
    SslPolicyErrors,
    SslStream,
    SslStreamClientEndpoint,
    TlsAlert,
    X509ChainStatusFlags,
)


async def ask(
    tcp: IStreamClientEndpoint, options: SslClientAuthenticationOptions, amounts: Iterable[int]
) -> list[bytes]:
    """
    @return: the balance after each amount.
    """
    balances = []
    async with await SslStreamClientEndpoint(tcp, options).connectStream() as stream:
        for amount in amounts:
            await stream.write(b"%d\n" % amount)
            balances.append(await stream.readUntil(b"\n"))
        await stream.shutdown()
        rest = await stream.read()
        if rest:
            raise ValueError(f"the server goes on with {rest!r}")
    return balances


async def askOn(transport: ITransport, host: str, certificate: str) -> bytes:
    """
    Ask for the balance over what is connected already.

    @param certificate: the path of our certificate with its key.
    """
    stream = SslStream(transport, leaveInnerStreamOpen=True)
    await stream.authenticateAsClient(host, [certificate])
    stream.readTimeout = 5.0
    binding = stream.transportContext.getChannelBinding(ChannelBindingKind.Endpoint)
    key = stream.exportKeyingMaterial("EXPORTER-ledger", 32)
    if binding is not None:
        await stream.write(key + binding.prefixed)
    balance = await stream.readExactly(16)
    inner, trailing = await stream.unwrap()
    inner.write(trailing)
    return balance


def why(error: AuthenticationError) -> str:
    """
    @return: what to tell the user.
    """
    alert: TlsAlert | None = error.alert
    if alert is not None:
        return f"the server said {alert.name}"
    status: X509ChainStatusFlags = error.chainStatus
    errors: SslPolicyErrors = error.sslPolicyErrors
    names = [str(each.name) for each in SslPolicyErrors if each & errors]
    names += [str(each.name) for each in X509ChainStatusFlags if each & status]
    return ", ".join(names)


def connecting(
    tcp: IStreamClientEndpoint, options: SslClientAuthenticationOptions
) -> Deferred[str]:
    """
    The same with callbacks instead of C{await}.
    """

    def connected(stream: SslStream) -> str:
        stream.abort()
        return stream.sslProtocol.name or ""

    return SslStreamClientEndpoint(tcp, options).connectStream().addCallback(connected)
