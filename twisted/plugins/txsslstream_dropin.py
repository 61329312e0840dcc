"""
What C{twistd} finds of txsslstream.  Every program that looks for any plugin
imports this: it must import next to nothing.
"""

from twisted.application.service import ServiceMaker

sslecho = ServiceMaker(
    "txsslstream echo",
    "txsslstream._tap",
    "The secure sample server of SslStream.",
    "sslecho",
)

sslserve = ServiceMaker(
    "txsslstream serve",
    "txsslstream._serve",
    "TLS in front of any endpoint.",
    "sslserve",
)
