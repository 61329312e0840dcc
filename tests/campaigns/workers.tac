"""
A worker that sends back what it gets, where the environment says: LISTEN is the
description of an endpoint.
"""

import os

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet.protocol import Factory, Protocol


class Echo(Protocol):
    """
    Sends back what it gets.
    """

    def dataReceived(self, data):
        self.transport.write(data)


application = Application("worker")
service(os.environ["LISTEN"], Factory.forProtocol(Echo)).setServiceParent(application)
