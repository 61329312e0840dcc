"""
Tests for L{txsslstream.testing}'s authority, its files and what is below them.
"""

from __future__ import annotations

import datetime
import os
import stat
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from txsslstream import (
    AuthenticationError,
    CertificateError,
    RetrievalError,
    SslCertificateTrust,
    SslPolicyErrors,
    SslProtocols,
    SslStreamCertificateContext,
    TlsAlert,
    X509ChainPolicy,
    X509ChainStatusFlags,
    X509ChainTrustMode,
    X509RevocationMode,
)
from txsslstream.testing import (
    DAY,
    NOW,
    VERSIONS,
    Authority,
    Flaw,
    MemoryWeb,
    StreamPair,
    certificatePEM,
    connectedStreams,
    failureOf,
    keyPEM,
    newKey,
    pfx,
    refusalOf,
    resultOf,
    rsaKey,
    sharedAuthority,
    writePEM,
    writePFX,
)
from txsslstream.testing.damage import (
    ofUnknownVersion,
    patched,
    resigned,
    signedAgain,
    weaklySigned,
    withBadTime,
    withSerial,
)
from txsslstream.testing.encoding import SEQUENCE, der, elements
from txsslstream.testing.issuing import Issued, authority, certificate, generalName

from .programs import temporaryDirectory

S = X509ChainStatusFlags
CHAIN = SslPolicyErrors.RemoteCertificateChainErrors
NAME = SslPolicyErrors.RemoteCertificateNameMismatch

#: What a client says of each flaw: errors, statuses and its alert.
FINDINGS: dict[Flaw, tuple[SslPolicyErrors, X509ChainStatusFlags, TlsAlert]] = {
    Flaw.Expired: (CHAIN, S.NotTimeValid, TlsAlert.certificate_expired),
    Flaw.NotYetValid: (CHAIN, S.NotTimeValid, TlsAlert.certificate_expired),
    Flaw.WrongName: (NAME, S.NoError, TlsAlert.bad_certificate),
    Flaw.WithoutNames: (NAME, S.NoError, TlsAlert.bad_certificate),
    Flaw.WrongUsage: (CHAIN, S.NotValidForUsage, TlsAlert.unsupported_certificate),
    Flaw.UnknownCriticalExtension: (
        CHAIN,
        S.HasNotSupportedCriticalExtension,
        TlsAlert.bad_certificate,
    ),
    Flaw.WeakKey: (CHAIN, S.HasWeakSignature, TlsAlert.bad_certificate),
    Flaw.WeakSignature: (CHAIN, S.HasWeakSignature, TlsAlert.bad_certificate),
    Flaw.InvalidSignature: (CHAIN, S.NotSignatureValid, TlsAlert.bad_certificate),
    Flaw.UnknownIssuer: (CHAIN, S.PartialChain, TlsAlert.unknown_ca),
    Flaw.SelfSigned: (CHAIN, S.UntrustedRoot, TlsAlert.unknown_ca),
    Flaw.ExcludedName: (CHAIN, S.HasExcludedNameConstraint, TlsAlert.bad_certificate),
    Flaw.NotAnAuthority: (CHAIN, S.InvalidBasicConstraints, TlsAlert.bad_certificate),
    Flaw.Unreadable: (NAME | CHAIN, S.InvalidExtension, TlsAlert.bad_certificate),
    Flaw.WithoutStaple: (
        CHAIN,
        S.RevocationStatusUnknown,
        TlsAlert.certificate_unknown,
    ),
    Flaw.Revoked: (CHAIN, S.Revoked, TlsAlert.certificate_revoked),
}


def checking(by: Authority) -> dict[str, Any]:
    """
    @return: options of a client that has the authority's CRL.
    """
    return {
        "certificateChainPolicy": X509ChainPolicy(
            trustMode=X509ChainTrustMode.CustomRootTrust,
            customTrustStore=[by.root.certificate],
            revocationMode=X509RevocationMode.Offline,
            revocationLists=[by.crl()],
        )
    }


class FlawTests(SynchronousTestCase):
    """
    L{Authority.issueBad}.
    """

    def judged(
        self, by: Authority, presented: SslStreamCertificateContext, hasList: bool = False
    ) -> Any:
        """
        @param hasList: whether the client has the authority's CRL, and uses it.
        @return: what becomes of a client that trusts an authority.
        """
        pair = StreamPair(authority=by)
        # A server must be talked into presenting a weak key, and with some versions
        # of OpenSSL a weak signature.
        lax = SslProtocols.Tls | SslProtocols.Tls11 | SslProtocols.Tls12
        isWeak = getattr(presented.privateKey, "key_size", 2048) == 1024 or isinstance(
            presented.certificate.signature_hash_algorithm, hashes.SHA1
        )
        options: dict[str, Any] = {"serverCertificate": presented}
        if isWeak:
            options["enabledSslProtocols"] = lax
        client, server = pair.authenticate(client=checking(by) if hasList else None, server=options)
        server.addErrback(lambda _: None)
        return client

    def test_each(self) -> None:
        """
        Each has its one flaw, which a client finds, and nothing else is wrong.
        """
        self.assertEqual(set(FINDINGS), set(Flaw))
        by = Authority()
        for flaw, (errors, status, alert) in FINDINGS.items():
            bad = by.issueBad(flaw, "localhost")
            hasList = flaw in (Flaw.Revoked, Flaw.WithoutStaple)
            judged = self.judged(by, bad, hasList)
            refusalOf(judged, sslPolicyErrors=errors, chainStatus=status, alertSent=alert)
        # The twin of all.
        for hasList in (False, True):
            resultOf(self.judged(by, by.issue("localhost"), hasList))

    def test_ofIntermediate(self) -> None:
        """
        It makes no difference to the flaw if an intermediate issues.
        """
        root = Authority(key="RSA")
        by = root.intermediate(key="Ed25519")
        for flaw in (Flaw.InvalidSignature, Flaw.UnknownIssuer, Flaw.Expired, Flaw.Unreadable):
            errors, status, alert = FINDINGS[flaw]
            pair = StreamPair(authority=by)
            client, server = pair.authenticate(server={"serverCertificate": by.issueBad(flaw)})
            server.addErrback(lambda _: None)
            refusalOf(client, sslPolicyErrors=errors, chainStatus=status, alertSent=alert)
        connectedStreams(authority=by)

    def test_client(self) -> None:
        """
        A server finds a client's flaw as well.
        """
        by = Authority()
        for version in VERSIONS:
            for flaw in (Flaw.Expired, Flaw.SelfSigned, Flaw.WrongUsage):
                errors, status, alert = FINDINGS[flaw]
                pair = StreamPair(authority=by)
                client, server = pair.authenticate(
                    version,
                    {"clientCertificates": [by.issueBad(flaw, "client@example.com")]},
                    {"clientCertificateRequired": True},
                )
                client.addErrback(lambda _: None)
                refusalOf(server, sslPolicyErrors=errors, chainStatus=status, alertSent=alert)
            connectedStreams(authority=by, version=version, mutual=True)

    def test_arguments(self) -> None:
        """
        What else is asked for is there, and what was not is not.
        """
        by = Authority()
        bad = by.issueBad(Flaw.Expired, "other.example", key="Ed25519", subject="Somebody")
        self.assertIsInstance(bad.privateKey, ed25519.Ed25519PrivateKey)
        self.assertEqual(bad.certificate.subject.rfc4514_string(), "CN=Somebody")
        self.assertEqual(namesOf(bad.certificate), ["other.example"])
        self.assertEqual(namesOf(by.issueBad(Flaw.Expired).certificate), ["localhost"])
        self.assertEqual(by.revoked, [])


def namesOf(of: x509.Certificate) -> list[Any]:
    """
    @return: the names in a certificate.
    """
    return [
        each.value
        for each in of.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ]


class AuthorityTests(SynchronousTestCase):
    """
    L{Authority}.
    """

    def test_trust(self) -> None:
        """
        Who trusts an authority accepts what it issues, and what is below it; who
        trusts another does not.
        """
        by = Authority()
        below = by.intermediate("First").intermediate("Second")
        for issuer in (by, below):
            for version in VERSIONS:
                connectedStreams(authority=issuer, version=version, mutual=True)
        with self.assertRaises(AuthenticationError) as raised:
            connectedStreams({"trust": Authority().trust}, authority=by)
        self.assertEqual(raised.exception.sslPolicyErrors, CHAIN)

    def test_chain(self) -> None:
        """
        What is sent behind a certificate is each authority above but the root.
        """
        by = Authority("Root")
        first = by.intermediate("First")
        second = first.intermediate("Second")
        self.assertEqual(second.chain, (second.certificate, first.certificate))
        self.assertEqual(second.issue("localhost").intermediates, second.chain)
        self.assertEqual(by.chain, ())
        self.assertEqual((second.root, by.root), (by, by))
        self.assertEqual((second.issuer, by.issuer), (first, None))

    def test_keys(self) -> None:
        """
        Authority and certificate have the keys that are asked for; a kind that
        there is not is an error.
        """
        kinds: dict[str, type] = {
            "EC": ec.EllipticCurvePrivateKey,
            "RSA": rsa.RSAPrivateKey,
            "Ed25519": ed25519.Ed25519PrivateKey,
            "Ed448": ed448.Ed448PrivateKey,
        }
        for kind, expected in kinds.items():
            by = Authority(key=kind)
            issued = by.issue("localhost", key=kind)
            self.assertIsInstance(by.key, expected)
            self.assertIsInstance(issued.privateKey, expected)
            connectedStreams(serverOptions={"serverCertificate": issued}, authority=by)
        self.assertEqual(newKey("RSA-1024").key_size, 1024)
        self.assertIs(newKey("RSA"), rsaKey())
        self.assertIsNot(rsaKey(), rsaKey(1))
        given = newKey()
        self.assertIs(Authority(key=given).key, given)
        self.assertRaises(ValueError, Authority, key="DSA")

    def test_dates(self) -> None:
        """
        All dates are relative to what the authority takes for the present.
        """
        now = datetime.datetime(2030, 5, 6, tzinfo=datetime.timezone.utc)
        below = Authority(now=now).intermediate()
        issued = below.issue("localhost").certificate
        self.assertEqual(issued.not_valid_before_utc, now - DAY)
        self.assertEqual(issued.not_valid_after_utc, now + 10 * DAY)
        self.assertEqual(below.certificate.not_valid_before_utc, now - 10 * DAY)
        self.assertEqual(below.crl().next_update_utc, now + DAY)
        response = ocsp.load_der_ocsp_response(below.ocspResponse(issued))
        self.assertEqual(response.this_update_utc, now - DAY)
        self.assertLess(below.issueBad(Flaw.Expired).certificate.not_valid_after_utc, now)
        self.assertEqual(Authority().now, NOW)
        exact = below.issue("localhost", notBefore=now, notAfter=now + DAY).certificate
        self.assertEqual(exact.not_valid_before_utc, now)

    def test_extensions(self) -> None:
        """
        Certificates have the names, usages and extensions that are asked for.
        """
        names = ("localhost", "192.0.2.1", "somebody@example.com", "spiffe://example/x")
        policy = x509.CertificatePolicies(
            [x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)]
        )
        issued = Authority().issue(
            *names, usages=[ExtendedKeyUsageOID.CLIENT_AUTH], extensions=[(policy, False)]
        )
        extensions = issued.certificate.extensions
        self.assertEqual([str(each) for each in namesOf(issued.certificate)], list(names))
        self.assertEqual(
            list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value),
            [ExtendedKeyUsageOID.CLIENT_AUTH],
        )
        self.assertEqual(extensions.get_extension_for_class(type(policy)).value, policy)
        bare = Authority().issue(usages=()).certificate.extensions
        for kind in (x509.ExtendedKeyUsage, x509.SubjectAlternativeName):
            self.assertRaises(x509.ExtensionNotFound, bare.get_extension_for_class, kind)

    def test_options(self) -> None:
        """
        Its options trust it and show its certificates, with the changes that are
        asked for.
        """
        by = Authority()
        client, server = by.clientOptions(), by.serverOptions()
        self.assertEqual((client.targetHost, client.trust), ("localhost", by.trust))
        self.assertEqual(server.serverCertificate, by.serverCertificate)
        changed = by.clientOptions(SslProtocols.Tls12, targetHost="other.example")
        self.assertEqual(
            (changed.targetHost, changed.enabledSslProtocols),
            ("other.example", SslProtocols.Tls12),
        )
        below = by.intermediate()
        for options in (below.clientOptions(), below.serverOptions()):
            self.assertEqual(options.trust, by.trust)
        self.assertNotEqual(below.trust, by.trust)
        self.assertIsInstance(by.trust, SslCertificateTrust)
        self.assertRaises(TypeError, by.clientOptions, noSuchOption=1)

    def test_shared(self) -> None:
        """
        There is one for all, and others are others.
        """
        self.assertIs(sharedAuthority(), sharedAuthority())
        self.assertNotEqual(Authority().certificate, sharedAuthority().certificate)


class RevocationTests(SynchronousTestCase):
    """
    What an authority says of what it has revoked.
    """

    def setUp(self) -> None:
        self.authority = Authority()
        self.good = self.authority.issue("localhost")
        self.bad = self.authority.issue("localhost")
        self.authority.revoke(self.bad)

    def test_crl(self) -> None:
        """
        Its CRL has what was revoked, and nothing else.
        """
        [line] = self.authority.crl()
        self.assertEqual(line.serial_number, self.bad.certificate.serial_number)
        self.assertLess(line.revocation_date_utc, self.authority.now)
        self.assertEqual(len(list(self.authority.crl(self.good.certificate))), 2)

    def test_ocsp(self) -> None:
        """
        Its OCSP responses say whether a certificate was revoked.
        """
        for context, status in (
            (self.good, ocsp.OCSPCertStatus.GOOD),
            (self.bad, ocsp.OCSPCertStatus.REVOKED),
        ):
            data = self.authority.ocspResponse(context.certificate)
            self.assertEqual(ocsp.load_der_ocsp_response(data).certificate_status, status)
        data = self.authority.ocspResponse(self.bad.certificate, status=ocsp.OCSPCertStatus.UNKNOWN)
        self.assertEqual(
            ocsp.load_der_ocsp_response(data).certificate_status, ocsp.OCSPCertStatus.UNKNOWN
        )

    def asking(self, presented: SslStreamCertificateContext) -> Any:
        """
        @return: what becomes of a client that accepts nothing without a good
            staple.
        """
        pair = StreamPair(authority=self.authority)
        client, server = pair.authenticate(
            client={"certificateRevocationCheckMode": X509RevocationMode.Offline},
            server={"serverCertificate": presented},
        )
        server.addErrback(lambda _: None)
        return client

    def test_stapled(self) -> None:
        """
        A server staples what the authority says, and a client that checks
        revocation believes it.
        """
        for mustStaple in (False, True):
            issued = self.authority.issueStapled("localhost", mustStaple=mustStaple)
            resultOf(self.asking(issued))
            demands = [each.oid for each in issued.certificate.extensions]
            self.assertIs(x509.TLSFeature.oid in demands, mustStaple)
        refusalOf(
            self.asking(self.authority.issue("localhost")),
            sslPolicyErrors=CHAIN,
            chainStatus=S.RevocationStatusUnknown | S.OfflineRevocation,
            alertSent=TlsAlert.certificate_unknown,
        )

    def test_stapledRevoked(self) -> None:
        """
        A certificate that was revoked is not good with its staple, either.
        """
        revoked = self.authority.issueStapled("localhost")
        self.authority.revoke(revoked)
        error = failureOf(self.asking(revoked), AuthenticationError)
        self.assertEqual(error.sslPolicyErrors, CHAIN)

    def test_stapledResponder(self) -> None:
        """
        A responder that the authority has entitled may sign; one of another
        authority may not.
        """
        for by, isGood in ((self.authority, True), (Authority(), False)):
            issued = self.authority.issueStapled("localhost")
            data = self.authority.ocspResponse(issued.certificate, responder=by.responder())
            web: Any = issued.retriever
            [place] = web.answers
            web.answers[place] = data
            client = self.asking(issued)
            if isGood:
                resultOf(client)
            else:
                failureOf(client, AuthenticationError)

    def test_mustStaple(self) -> None:
        """
        A certificate that demands a staple is refused without, and accepted with
        one, whatever the CRL says.
        """
        for issued, isGood in (
            (self.authority.issueStapled("localhost", mustStaple=True), True),
            (self.authority.issueBad(Flaw.WithoutStaple), False),
        ):
            pair = StreamPair(authority=self.authority)
            client, server = pair.authenticate(
                client=checking(self.authority), server={"serverCertificate": issued}
            )
            server.addErrback(lambda _: None)
            if isGood:
                resultOf(client)
            else:
                refusalOf(client, chainStatus=S.RevocationStatusUnknown)


class WebTests(SynchronousTestCase):
    """
    L{MemoryWeb}.
    """

    def retrieve(self, web: MemoryWeb, url: str, **more: Any) -> Any:
        """
        Retrieve something.
        """
        return web.retrieve(url, limit=1000, timeout=1, **more)

    def test_answers(self) -> None:
        """
        It answers with what is there, and notes who asked for what.
        """
        web = MemoryWeb({"http://a.example/": b"A", "http://b.example/": lambda body: body * 2})
        self.assertEqual(resultOf(self.retrieve(web, "http://a.example/x")), b"A")
        asked = self.retrieve(web, "http://b.example/", body=b"B", contentType="text/plain")
        self.assertEqual(resultOf(asked), b"BB")
        self.assertEqual(web.asked, [("GET", "http://a.example/"), ("POST", "http://b.example/")])
        self.assertEqual(web.arguments[1]["contentType"], "text/plain")

    def test_failures(self) -> None:
        """
        It fails as it is told, and where nothing is.
        """
        web = MemoryWeb({"http://a.example/": RetrievalError("http://a.example/", "404")})
        failureOf(self.retrieve(web, "http://a.example/"), RetrievalError)
        failureOf(self.retrieve(web, "http://b.example/"), OSError)


class FileTests(SynchronousTestCase):
    """
    Certificates as files.
    """

    def setUp(self) -> None:
        self.directory = temporaryDirectory(self)
        self.context = Authority().intermediate().issue("localhost")

    def test_pem(self) -> None:
        """
        What is written as PEM is read again, with key and intermediates, by its
        owner alone.
        """
        path = writePEM(self.directory / "server.pem", self.context)
        self.assertEqual(SslStreamCertificateContext.fromPEM(path), self.context)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(path.read_bytes(), certificatePEM(self.context) + keyPEM(self.context))

    def test_password(self) -> None:
        """
        A key with a password is not read without, or with another.
        """
        path = writePEM(self.directory / "server.pem", self.context, b"secret")
        read = SslStreamCertificateContext.fromPEM
        self.assertEqual(read(path, password=b"secret"), self.context)
        for password in (None, b"wrong"):
            with self.assertRaises(CertificateError):
                read(path, password=password)

    def test_authority(self) -> None:
        """
        An authority's certificate is written for whoever trusts it, without its
        key.
        """
        by = Authority()
        path = writePEM(str(self.directory / "ca.pem"), by.certificate)
        self.assertEqual(SslCertificateTrust.fromPEM(path), by.trust)
        self.assertNotIn(b"PRIVATE", path.read_bytes())
        with self.assertRaises(CertificateError):
            SslStreamCertificateContext.fromPEM(path)

    def test_pfx(self) -> None:
        """
        The same as PKCS #12.
        """
        path = writePFX(self.directory / "server.pfx", self.context, b"secret")
        read = SslStreamCertificateContext.fromPFX
        self.assertEqual(read(path, b"secret"), self.context)
        with self.assertRaises(CertificateError):
            read(path, b"wrong")
        self.assertNotEqual(pfx(self.context, None), pfx(self.context, b"secret"))


class DamageTests(SynchronousTestCase):
    """
    What no authority would make.
    """

    def setUp(self) -> None:
        self.root = authority("Root")
        self.leaf = certificate("leaf", self.root)

    def check(self, issued: Issued, root: Issued) -> None:
        """
        Its signature is that of the root.
        """
        issued.certificate.verify_directly_issued_by(root.certificate)

    def test_patched(self) -> None:
        """
        What is patched is not validly signed, until it is signed again; what is
        not there cannot be changed.
        """
        changed = patched(self.leaf, (b"leaf", b"lead"))
        self.assertEqual(changed.certificate.subject.rfc4514_string(), "CN=lead")
        self.assertRaises(InvalidSignature, self.check, changed, self.root)
        self.check(signedAgain(changed, self.root.key), self.root)
        self.assertRaises(ValueError, patched, self.leaf, (b"absent", b"lacked"))
        self.assertRaises(ValueError, patched, self.leaf, (b"leaf", b"le"))

    def test_weakly(self) -> None:
        """
        A weak signature is the issuer's own, with EC and RSA keys.
        """
        root = authority("Root", key=rsaKey())
        for issuer, leaf, digest in (
            (self.root, self.leaf, "sha1"),
            (root, certificate("leaf", root), "sha1"),
            (root, certificate("leaf", root), "md5"),
        ):
            weak = weaklySigned(leaf, issuer.key, digest)  # type: ignore[arg-type]
            algorithm: Any = weak.certificate.signature_hash_algorithm
            self.assertEqual(algorithm.name, digest)
            public: Any = issuer.key.public_key()
            data = weak.certificate.tbs_certificate_bytes
            signature = weak.certificate.signature
            isRsa = issuer is root
            arguments = (PKCS1v15(), algorithm) if isRsa else (ec.ECDSA(algorithm),)
            public.verify(signature, data, *arguments)
            with self.assertRaises(InvalidSignature):
                public.verify(signature, data + b"x", *arguments)

    def test_serial(self) -> None:
        """
        Whatever serial number there is, the signature is valid.
        """
        changed = withSerial(self.leaf, self.root, b"\x07")
        self.assertEqual(changed.certificate.serial_number, 7)
        self.check(changed, self.root)

    def test_unparsable(self) -> None:
        """
        Nothing can read the worst of them; what is signed again unchanged is
        readable.
        """
        known = self.leaf.certificate
        for worst in (ofUnknownVersion, withBadTime):
            with self.assertRaises((ValueError, x509.InvalidVersion)):
                x509.load_der_x509_certificate(worst(known, self.root.key))
        x509.load_der_x509_certificate(resigned(known.tbs_certificate_bytes, self.root.key))

    def test_elements(self) -> None:
        """
        What is taken apart can be put together again, whatever its length.
        """
        for size in (0, 1, 127, 128, 255, 256, 70_000):
            data = der(SEQUENCE, der(4, bytes(size)), der(2, b"\1"))
            self.assertEqual(elements(data), [der(4, bytes(size)), der(2, b"\1")])
        self.assertNotEqual(elements(der(SEQUENCE, der(2, b"\1"))), [der(2, b"\2")])

    def test_generalNames(self) -> None:
        """
        Each kind of name is told by its form.
        """
        for name, kind in (
            ("192.0.2.1", x509.IPAddress),
            ("::1", x509.IPAddress),
            ("a@example.com", x509.RFC822Name),
            ("https://example.com/@", x509.UniformResourceIdentifier),
            ("example.com", x509.DNSName),
        ):
            self.assertIsInstance(generalName(name), kind)
