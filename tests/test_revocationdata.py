"""
Tests for L{txsslstream.revocationdata}: what OCSP responses and CRLs prove.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable
from random import Random
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from tests.support import AUTHORITY
from txsslstream.revocationdata import (
    CLOCK_SKEW,
    CRL_LIMIT,
    OCSP_LIMIT,
    OtherIssuerError,
    RevocationDataError,
    Standing,
    Statement,
    checkCrl,
    checkOcsp,
    crlUrls,
    issuerUrls,
    ocspGetUrl,
    ocspRequest,
    ocspUrls,
)
from txsslstream.testing import DAY, NOW, Authority, rsaKey
from txsslstream.testing.damage import patched
from txsslstream.testing.encoding import SEQUENCE, der
from txsslstream.testing.issuing import SHA256, Issued, certificate, enormous, keyUsage
from txsslstream.testing.revocations import (
    ECDSA_SHA256,
    REVOKED,
    UNKNOWN,
    access,
    assembled,
    crl,
    crlBytes,
    distribution,
    distributionPoint,
    entry,
    ocspResponse,
    single,
    unknownExtensionInDER,
)

SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)

ISSUER = AUTHORITY.certificate
CERTIFICATE = AUTHORITY.issue("localhost").certificate
OTHER = AUTHORITY.issue("other.example").certificate
#: Has the same name and another key.
IMPOSTOR = Authority()

UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")

#: Is none that can be read.
DAMAGED_EXTENSION = x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"\x01")

#: Its issuer's name cannot be read.
NAMELESS = patched(
    Issued(
        AUTHORITY.issue(
            "x", extensions=[access(["http://a"]), distribution("http://b")]
        ).certificate,
        None,
    ),
    (b"Test Authority", b"\xff\xfest Authority"),
).certificate

SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")
#: What replaces it, and what is said of it.
WEAK_RSA = (
    (bytes.fromhex("06092a864886f70d010105"), "is signed with SHA-1"),
    (bytes.fromhex("06092a864886f70d010104"), "is signed with MD5"),
)


def judged(
    data: bytes,
    now: datetime.datetime = NOW,
    certificate: x509.Certificate = CERTIFICATE,
    issuer: x509.Certificate = ISSUER,
    nonce: bytes | None = None,
) -> Statement:
    """
    What an OCSP response proves.
    """
    return checkOcsp(data, certificate, issuer, now, nonce=nonce, source="a responder")


def listed(
    data: bytes | x509.CertificateRevocationList,
    now: datetime.datetime = NOW,
    certificate: x509.Certificate = CERTIFICATE,
    issuer: x509.Certificate = ISSUER,
) -> Statement:
    """
    What a CRL proves.
    """
    return checkCrl(data, certificate, issuer, now, source="a CRL")


def inTheNameOf(issuer: x509.Certificate, signer: Authority) -> bytes:
    """
    A response about L{CERTIFICATE} that names an issuer and a signer that have
    the same name.
    """
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            CERTIFICATE,
            issuer,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.GOOD,
            NOW,
            NOW + DAY,
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
        .sign(signer.key, SHA256)
    )
    return response.public_bytes(serialization.Encoding.DER)


class Judging(SynchronousTestCase):
    """
    What both kinds of data are asserted with.
    """

    def assertRefused(self, words: str, check: Any, *arguments: Any, **more: Any) -> None:
        """
        The data proves nothing, for this reason.
        """
        error = self.assertRaises(RevocationDataError, check, *arguments, **more)
        self.assertIn(words, str(error))

    def assertStands(
        self, statement: Statement, standing: Standing, information: str | None = None
    ) -> None:
        """
        That is what was said.
        """
        self.assertIs(statement.standing, standing)
        if information is not None:
            self.assertEqual(statement.information, information)


class OcspTests(Judging):
    """
    Tests for L{checkOcsp}.
    """

    def test_good(self) -> None:
        """
        The issuer's own response for the certificate says good until its next
        update.
        """
        self.assertEqual(
            judged(ocspResponse(AUTHORITY, CERTIFICATE)),
            Statement(Standing.good, "good", NOW + DAY, "a responder"),
        )

    def test_revoked(self) -> None:
        """
        A revoked certificate is, with day and reason.
        """
        reasons = (
            (None, "revoked 2026-01-02"),
            (x509.ReasonFlags.key_compromise, "revoked 2026-01-02 (keyCompromise)"),
            (x509.ReasonFlags.certificate_hold, "revoked 2026-01-02 (certificateHold)"),
            # Makes no sense in OCSP.
            (x509.ReasonFlags.remove_from_crl, "revoked 2026-01-02 (removeFromCRL)"),
        )
        for reason, words in reasons:
            data = ocspResponse(AUTHORITY, CERTIFICATE, status=REVOKED, reason=reason)
            self.assertStands(judged(data), Standing.revoked, words)

    def test_unknown(self) -> None:
        """
        A responder that does not know the certificate says that.
        """
        data = ocspResponse(AUTHORITY, CERTIFICATE, status=UNKNOWN)
        self.assertStands(judged(data), Standing.unknown, "the responder does not know it")

    def test_failures(self) -> None:
        """
        A responder that gives no answer is named with its reason.
        """
        words = {
            ocsp.OCSPResponseStatus.MALFORMED_REQUEST: "says only malformedRequest",
            ocsp.OCSPResponseStatus.INTERNAL_ERROR: "says only internalError",
            ocsp.OCSPResponseStatus.TRY_LATER: "says only tryLater",
            ocsp.OCSPResponseStatus.SIG_REQUIRED: "says only sigRequired",
            ocsp.OCSPResponseStatus.UNAUTHORIZED: "says only unauthorized",
        }
        for status, said in words.items():
            response = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
            self.assertRefused(said, judged, response.public_bytes(serialization.Encoding.DER))

    def test_window(self) -> None:
        """
        A response counts from its update, give or take the clocks, to the next.
        """
        thisUpdate, nextUpdate = NOW - HOUR, NOW + HOUR
        data = ocspResponse(AUTHORITY, CERTIFICATE, thisUpdate=thisUpdate, nextUpdate=nextUpdate)
        for now in (thisUpdate - CLOCK_SKEW, thisUpdate, nextUpdate):
            self.assertStands(judged(data, now), Standing.good)
        self.assertRefused("is not valid before", judged, data, thisUpdate - CLOCK_SKEW - SECOND)
        self.assertRefused("expired", judged, data, nextUpdate + SECOND)

    def test_noNextUpdate(self) -> None:
        """
        A response that names no end counts for an hour.
        """
        data = ocspResponse(AUTHORITY, CERTIFICATE, thisUpdate=NOW, nextUpdate=None)
        self.assertEqual(judged(data, NOW + HOUR).validUntil, NOW + HOUR)
        self.assertRefused("expired", judged, data, NOW + HOUR + SECOND)

    def test_whoIsMeant(self) -> None:
        """
        A response counts for the certificate with that number of that issuer's
        name and key, named with whichever digest.
        """
        for algorithm in (hashes.SHA1(), SHA256, hashes.SHA384(), hashes.SHA512()):
            data = ocspResponse(AUTHORITY, CERTIFICATE, algorithm=algorithm)
            self.assertStands(judged(data), Standing.good)
            other = ocspResponse(AUTHORITY, OTHER, algorithm=algorithm)
            self.assertRefused("is about another certificate", judged, other)
        # The same number, of an issuer with the same name.
        data = ocspResponse(IMPOSTOR, CERTIFICATE)
        self.assertRefused("is about another certificate", judged, data)
        # The same number and key, of an issuer with another name.
        renamed = Authority("renamed")
        renamed.key = AUTHORITY.key
        sameNumber = certificate(
            CERTIFICATE.subject,
            renamed,
            CERTIFICATE.public_key(),
            serial=CERTIFICATE.serial_number,
        ).certificate
        self.assertRefused(
            "is about another certificate",
            judged,
            assembled(AUTHORITY, single(AUTHORITY, sameNumber)),
        )

    def test_several(self) -> None:
        """
        Of several certificates in one response the right one counts, and of two
        words about it the worse.
        """
        own, other = single(AUTHORITY, CERTIFICATE), single(AUTHORITY, OTHER, status=REVOKED)
        revoked = single(AUTHORITY, CERTIFICATE, status=REVOKED)
        unknown = single(AUTHORITY, CERTIFICATE, status=UNKNOWN)
        for parts, standing in (
            ((own, other), Standing.good),
            ((other, own), Standing.good),
            ((revoked, other), Standing.revoked),
            ((own, revoked), Standing.revoked),
            ((revoked, own), Standing.revoked),
            ((unknown, own), Standing.unknown),
            ((own, unknown), Standing.unknown),
            ((unknown, revoked), Standing.revoked),
        ):
            self.assertStands(judged(assembled(AUTHORITY, *parts)), standing)
        self.assertRefused("another certificate", judged, assembled(AUTHORITY, other, other))
        self.assertRefused("another certificate", judged, assembled(AUTHORITY))

    def test_wrongSignature(self) -> None:
        """
        A response that another key has signed in the issuer's name is refused,
        and so is one that was changed.
        """
        forged = assembled(IMPOSTOR, single(AUTHORITY, CERTIFICATE))
        self.assertRefused("has no certificate of the issuer", judged, forged)
        self.assertRefused("has a wrong signature", judged, inTheNameOf(ISSUER, IMPOSTOR))
        self.assertStands(judged(inTheNameOf(ISSUER, AUTHORITY)), Standing.good)
        data = ocspResponse(AUTHORITY, CERTIFICATE, status=REVOKED)
        self.assertStands(judged(data), Standing.revoked)
        year = b"20260102"
        self.assertEqual(data.count(year), 1)
        self.assertRefused("has a wrong signature", judged, data.replace(year, b"20290102"))

    def test_delegated(self) -> None:
        """
        Somebody with the issuer's certificate for OCSP signing may sign,
        whichever way the response names the signer.
        """
        digital, _ = keyUsage("digital_signature")
        for extensions in ((), ((x509.OCSPNoCheck(), False),), ((digital, True),)):
            signer = AUTHORITY.responder(extensions=extensions)
            for encoding in ocsp.OCSPResponderEncoding:
                data = ocspResponse(AUTHORITY, CERTIFICATE, responder=signer, encoding=encoding)
                self.assertStands(judged(data), Standing.good)

    def test_notEntitled(self) -> None:
        """
        Nobody else may sign, and the reason is told.
        """
        intermediate = Authority("intermediate", AUTHORITY)
        cases: tuple[tuple[str, Any], ...] = (
            ("for OCSP signing", AUTHORITY.issue("localhost")),
            ("for OCSP signing", AUTHORITY.responder(usages=())),
            (
                "for OCSP signing",
                AUTHORITY.responder(usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
            ),
            ("no certificate of the issuer", IMPOSTOR.responder()),
            ("no certificate of the issuer", intermediate.responder()),
            ("not valid now", AUTHORITY.responder(notAfter=NOW - SECOND)),
            ("not valid now", AUTHORITY.responder(notBefore=NOW + SECOND)),
            (
                "for digital signatures",
                AUTHORITY.responder(extensions=[keyUsage("key_agreement")]),
            ),
            ("unreadable", AUTHORITY.responder(extensions=[(UNKNOWN_EXTENSION, True)])),
            ("unreadable", AUTHORITY.responder(extensions=[(DAMAGED_EXTENSION, False)])),
            (
                "1024 bits",
                AUTHORITY.responder(key=rsaKey(bits=1024)),
            ),
        )
        for words, signer in cases:
            data = ocspResponse(AUTHORITY, CERTIFICATE, responder=signer)
            self.assertRefused(words, judged, data)

    def test_responderMissing(self) -> None:
        """
        A response without its signer's certificate is refused, whatever other
        certificates it has, and however many.
        """
        signer = AUTHORITY.responder()
        self.assertRefused(
            "does not contain the certificate of the responder",
            judged,
            ocspResponse(AUTHORITY, CERTIFICATE, responder=signer, certificates=()),
        )
        for certificates, isThere in (
            ([OTHER], False),
            ([OTHER, signer.certificate], True),
            ([OTHER] * 20 + [signer.certificate], False),
        ):
            data = ocspResponse(AUTHORITY, CERTIFICATE, responder=signer, certificates=certificates)
            if isThere:
                self.assertStands(judged(data), Standing.good)
            else:
                self.assertRefused("does not contain", judged, data)

    def test_otherName(self) -> None:
        """
        A response that names somebody else than its signer is refused.
        """
        signer = AUTHORITY.responder()
        alias = AUTHORITY.issue(subject="alias", key=signer.privateKey)
        for encoding, isMet in (
            (ocsp.OCSPResponderEncoding.NAME, False),
            # It is the same key.
            (ocsp.OCSPResponderEncoding.HASH, True),
        ):
            data = ocspResponse(
                AUTHORITY,
                CERTIFICATE,
                responder=alias,
                encoding=encoding,
                certificates=[signer.certificate],
            )
            if isMet:
                self.assertStands(judged(data), Standing.good)
            else:
                self.assertRefused("does not contain", judged, data)

    def test_weakCertificate(self) -> None:
        """
        A signer whose certificate is signed with SHA-1 or MD5 must not sign.
        """
        issuer = AUTHORITY.issue(subject="Test Authority", key=rsaKey()).certificate
        signer = AUTHORITY.responder()
        strong = certificate(
            signer.certificate.subject,
            Issued(issuer, rsaKey()),
            signer.privateKey,
            [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)],
        ).certificate
        encoded = strong.public_bytes(serialization.Encoding.DER)
        self.assertEqual(encoded.count(SHA256_RSA), 2)
        authority = Authority()
        authority.certificate = issuer
        data = ocspResponse(authority, CERTIFICATE, responder=signer, certificates=[strong])
        self.assertStands(judged(data, issuer=issuer), Standing.good)
        for weak, words in WEAK_RSA:
            weakened = x509.load_der_x509_certificate(encoded.replace(SHA256_RSA, weak))
            data = ocspResponse(authority, CERTIFICATE, responder=signer, certificates=[weakened])
            self.assertRefused(
                f"by a responder that has a certificate that {words}",
                judged,
                data,
                issuer=issuer,
            )

    def test_namesakes(self) -> None:
        """
        Of several certificates with the signer's name the one whose key has
        signed counts.
        """
        signer, namesake = AUTHORITY.responder(), AUTHORITY.responder()
        certificates = [namesake.certificate, IMPOSTOR.responder().certificate, signer.certificate]
        for count, isSigned in ((3, True), (2, False)):
            data = ocspResponse(
                AUTHORITY,
                CERTIFICATE,
                responder=signer,
                encoding=ocsp.OCSPResponderEncoding.NAME,
                certificates=certificates[:count],
            )
            if isSigned:
                self.assertStands(judged(data), Standing.good)
            else:
                self.assertRefused("is signed by a responder", judged, data)

    def test_keys(self) -> None:
        """
        Every kind of key may sign, and none is believed for another.
        """
        keys: tuple[tuple[Any, Any], ...] = (
            (rsaKey(), SHA256),
            (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
            (ed25519.Ed25519PrivateKey.generate(), None),
            (ed448.Ed448PrivateKey.generate(), None),
        )
        signers = [AUTHORITY.responder(key=key) for key, _ in keys]
        for signer, (_, digest) in zip(signers, keys, strict=True):
            for named in signers:
                data = ocspResponse(
                    AUTHORITY,
                    CERTIFICATE,
                    responder=signer,
                    digest=digest,
                    encoding=ocsp.OCSPResponderEncoding.NAME,
                    certificates=[named.certificate],
                )
                if named is signer:
                    self.assertStands(judged(data), Standing.good)
                else:
                    self.assertRefused("has a wrong signature", judged, data)

    def test_pss(self) -> None:
        """
        RSASSA-PSS is verified, although nobody tells its parameters.
        """
        signer = AUTHORITY.responder(key=rsaKey())
        data = assembled(signer, single(AUTHORITY, CERTIFICATE, status=REVOKED), isPss=True)
        self.assertStands(judged(data), Standing.revoked)
        self.assertRefused("has a wrong signature", judged, data.replace(b"20260102", b"20290102"))

    def test_weakDigests(self) -> None:
        """
        SHA-1 and MD5 prove nothing.
        """
        data = ocspResponse(AUTHORITY, CERTIFICATE, responder=AUTHORITY.responder(key=rsaKey()))
        self.assertEqual(data.count(SHA256_RSA), 1)
        for weak, words in WEAK_RSA:
            self.assertRefused(words, judged, data.replace(SHA256_RSA, weak))

    def test_nonce(self) -> None:
        """
        A nonce must be the one of the request, if there are both.
        """
        ours, theirs = b"n" * 32, b"x" * 32
        for asked, answered in ((ours, ours), (ours, None), (None, theirs), (None, None)):
            data = ocspResponse(AUTHORITY, CERTIFICATE, nonce=answered)
            self.assertStands(judged(data, nonce=asked), Standing.good)
        critical = [(x509.OCSPNonce(ours), True)]
        data = ocspResponse(AUTHORITY, CERTIFICATE, extensions=critical)
        self.assertStands(judged(data, nonce=ours), Standing.good)
        data = ocspResponse(AUTHORITY, CERTIFICATE, nonce=theirs)
        self.assertRefused("its nonce differs", judged, data, nonce=ours)

    def test_criticalExtensions(self) -> None:
        """
        A critical extension that is not known makes the response prove nothing,
        wherever it is.
        """
        for isCritical in (False, True):
            data = ocspResponse(
                AUTHORITY, CERTIFICATE, extensions=[(UNKNOWN_EXTENSION, isCritical)]
            )
            if isCritical:
                self.assertRefused("critical extension that must not be: 1.2.3.4", judged, data)
            else:
                self.assertStands(judged(data), Standing.good)
        part = single(AUTHORITY, CERTIFICATE, unknownExtensionInDER(True))
        self.assertRefused(
            "critical extension that must not be: 1.2.3.4", judged, assembled(AUTHORITY, part)
        )
        harmless = single(AUTHORITY, CERTIFICATE, unknownExtensionInDER(False))
        self.assertStands(judged(assembled(AUTHORITY, harmless)), Standing.good)
        both = assembled(AUTHORITY, harmless, single(AUTHORITY, OTHER))
        self.assertStands(judged(both), Standing.good)
        for parts in ((part, single(AUTHORITY, OTHER)), (single(AUTHORITY, OTHER), part)):
            self.assertRefused("perhaps unknown critical", judged, assembled(AUTHORITY, *parts))

    def test_tooLarge(self) -> None:
        """
        What is too large is not even read.
        """
        self.assertRefused("more than 131072", judged, b"\x30" * (OCSP_LIMIT + 1))
        self.assertRefused("is unreadable", judged, b"\x30" * OCSP_LIMIT)

    def test_garbage(self) -> None:
        """
        Whatever is changed, cut off or added anywhere, the response proves
        nothing and nothing else happens; unless it was the responder's
        certificate or what names an algorithm in another way.
        """
        signer = AUTHORITY.responder()
        data = ocspResponse(AUTHORITY, CERTIFICATE, status=REVOKED, responder=signer)
        random = Random(1)
        for size in range(0, len(data), 7):
            self.assertRefused("is unreadable", judged, data[:size])
        self.assertRefused("is unreadable", judged, data + b"\x00")
        for _ in range(400):
            changed = bytearray(data)
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
            try:
                statement = judged(bytes(changed))
            except RevocationDataError:
                continue
            self.assertStands(statement, Standing.revoked, "revoked 2026-01-02")


class RequestTests(SynchronousTestCase):
    """
    Tests for L{ocspRequest} and L{ocspGetUrl}.
    """

    def test_request(self) -> None:
        """
        A request names the certificate by SHA-1.
        """
        request = ocsp.load_der_ocsp_request(ocspRequest(CERTIFICATE, ISSUER, None))
        self.assertEqual(request.serial_number, CERTIFICATE.serial_number)
        self.assertIsInstance(request.hash_algorithm, hashes.SHA1)
        key = x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.key.public_key())
        self.assertEqual(request.issuer_key_hash, key.digest)
        name = hashes.Hash(hashes.SHA1())
        name.update(ISSUER.subject.public_bytes())
        self.assertEqual(request.issuer_name_hash, name.finalize())
        self.assertEqual(len(request.extensions), 0)

    def test_nonce(self) -> None:
        """
        A request has the nonce that it is given.
        """
        request = ocsp.load_der_ocsp_request(ocspRequest(CERTIFICATE, ISSUER, b"n" * 32))
        nonce = request.extensions.get_extension_for_class(x509.OCSPNonce)
        self.assertEqual(nonce.value.nonce, b"n" * 32)
        self.assertFalse(nonce.critical)

    def test_getUrl(self) -> None:
        """
        The URL of a GET request ends in the request, in base64 with everything
        escaped that means something in URLs, after exactly one slash.
        """
        request = bytes(range(248, 256)) * 5
        for base in ("http://ocsp.example", "http://ocsp.example/"):
            url = ocspGetUrl(base, request)
            assert url is not None
            self.assertTrue(url.startswith("http://ocsp.example/%2BPn6%2B"), url)
            path = url.removeprefix("http://ocsp.example/")
            self.assertEqual(base64.b64decode(unquote(path), validate=True), request)
            self.assertNotIn("/", path)
            self.assertNotIn("=", path)
            self.assertNotIn("+", path)
        self.assertEqual(ocspGetUrl("http://o.example/a/", b"\x00"), "http://o.example/a/AA%3D%3D")

    def test_tooLong(self) -> None:
        """
        A URL of 255 bytes is the longest that is asked by GET.
        """
        host = "http://" + "o" * (255 - len("http://") - len("/AAAA"))
        self.assertEqual(ocspGetUrl(host, bytes(3)), f"{host}/AAAA")
        self.assertIsNone(ocspGetUrl(f"{host}o", bytes(3)))

    def test_query(self) -> None:
        """
        A responder with a query in its URL is not asked by GET.
        """
        self.assertIsNone(ocspGetUrl("http://o.example/?a=b", bytes(3)))
        self.assertIsNone(ocspGetUrl("http://o.example/#a", bytes(3)))


class CrlTests(Judging):
    """
    Tests for L{checkCrl}.
    """

    def test_good(self) -> None:
        """
        A certificate that its issuer's list does not have is good until the
        list's next update.
        """
        said = Statement(Standing.good, "good", NOW + DAY, "a CRL")
        for made in (crl(AUTHORITY), crl(AUTHORITY, OTHER)):
            pem = made.public_bytes(serialization.Encoding.PEM)
            for data in (made, crlBytes(made), pem, b"# preface\n" + pem):
                self.assertEqual(listed(data), said)

    def test_revoked(self) -> None:
        """
        A listed certificate is revoked, also on hold; unless it was removed
        again.
        """
        reasons = (
            (None, Standing.revoked, "revoked 2026-01-02"),
            (
                x509.ReasonFlags.key_compromise,
                Standing.revoked,
                "revoked 2026-01-02 (keyCompromise)",
            ),
            (
                x509.ReasonFlags.certificate_hold,
                Standing.revoked,
                "revoked 2026-01-02 (certificateHold)",
            ),
            (x509.ReasonFlags.remove_from_crl, Standing.good, "good: removed from the list"),
        )
        for reason, standing, words in reasons:
            made = crl(AUTHORITY, OTHER, entry(CERTIFICATE, reason), ISSUER)
            self.assertStands(listed(made), standing, words)

    def test_window(self) -> None:
        """
        A list counts from its update, give or take the clocks, to the next.
        """
        made = crl(AUTHORITY, thisUpdate=NOW - HOUR, nextUpdate=NOW + HOUR)
        for now in (NOW - HOUR - CLOCK_SKEW, NOW + HOUR):
            self.assertStands(listed(made, now), Standing.good)
        self.assertRefused("not valid before", listed, made, NOW - HOUR - CLOCK_SKEW - SECOND)
        self.assertRefused("expired", listed, made, NOW + HOUR + SECOND)
        revoking = crl(AUTHORITY, CERTIFICATE, nextUpdate=NOW)
        self.assertRefused("expired", listed, revoking, NOW + SECOND)

    def test_noNextUpdate(self) -> None:
        """
        A list that names no end counts for a day.
        """
        signed = der(
            SEQUENCE,
            der(0x02, b"\x01"),
            ECDSA_SHA256,
            ISSUER.subject.public_bytes(),
            der(0x17, f"{NOW:%y%m%d%H%M%SZ}".encode()),
        )
        signature = AUTHORITY.key.sign(signed, ec.ECDSA(SHA256))
        data = der(SEQUENCE, signed, ECDSA_SHA256, der(0x03, b"\x00", signature))
        self.assertEqual(listed(data).validUntil, NOW + DAY)
        self.assertRefused("expired", listed, data, NOW + DAY + SECOND)

    def test_otherIssuer(self) -> None:
        """
        Another issuer's list says nothing.
        """
        error = self.assertRaises(OtherIssuerError, listed, crl(Authority("other"), CERTIFICATE))
        self.assertEqual(str(error), "is another issuer's")

    def test_wrongSignature(self) -> None:
        """
        A list that another key has signed says nothing, and neither does one
        that was changed.
        """
        self.assertRefused("has a wrong signature", listed, crl(IMPOSTOR, CERTIFICATE))
        data = crlBytes(crl(AUTHORITY, CERTIFICATE))
        year = b"260102000000Z"
        self.assertEqual(data.count(year), 1)
        changed = data.replace(year, b"290102000000Z")
        self.assertRefused("has a wrong signature", listed, changed)

    def test_keys(self) -> None:
        """
        Lists may be signed with every kind of key.
        """
        signers: tuple[tuple[Any, Any, padding.PSS | None], ...] = (
            (rsaKey(), SHA256, None),
            (rsaKey(), SHA256, padding.PSS(padding.MGF1(SHA256), 32)),
            (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), None),
            (ed25519.Ed25519PrivateKey.generate(), None, None),
            (ed448.Ed448PrivateKey.generate(), None, None),
        )
        for key, digest, scheme in signers:
            issuer = AUTHORITY.issue(subject="Test Authority", key=key).certificate
            made = crl(AUTHORITY, CERTIFICATE, key=key, digest=digest, padding=scheme)
            self.assertStands(listed(made, issuer=issuer), Standing.revoked)
            self.assertRefused("has a wrong signature", listed, made)

    def test_weakDigests(self) -> None:
        """
        SHA-1 and MD5 prove nothing.
        """
        issuer = AUTHORITY.issue(subject="Test Authority", key=rsaKey()).certificate
        data = crlBytes(crl(AUTHORITY, CERTIFICATE, key=rsaKey()))
        self.assertEqual(data.count(SHA256_RSA), 2)
        for weak, words in WEAK_RSA:
            changed = data.replace(SHA256_RSA, weak)
            self.assertRefused(words, listed, changed, issuer=issuer)

    def test_issuerMayNot(self) -> None:
        """
        An issuer that has a key usage must have the one for CRLs.
        """
        for usage, isPermitted in (
            keyUsage("crl_sign"),
            (keyUsage("key_cert_sign")[0], False),
        ):
            issuer = AUTHORITY.issue(
                subject="Test Authority", key=AUTHORITY.key, extensions=[(usage, True)]
            ).certificate
            if isPermitted:
                self.assertStands(listed(crl(AUTHORITY), issuer=issuer), Standing.good)
            else:
                self.assertRefused("must not sign CRLs", listed, crl(AUTHORITY), issuer=issuer)

    def test_unreadableIssuer(self) -> None:
        """
        An issuer that does not say what it may do may not sign lists.
        """
        issuer = AUTHORITY.issue(
            subject="Test Authority",
            key=AUTHORITY.key,
            extensions=[(DAMAGED_EXTENSION, False)],
        ).certificate
        self.assertRefused("must not sign CRLs", listed, crl(AUTHORITY), issuer=issuer)

    def test_enormousKey(self) -> None:
        """
        An issuer with an enormous key is not verified with.
        """
        large = enormous(16401)
        issuer = certificate(ISSUER.subject, AUTHORITY, large).certificate
        self.assertRefused("key is unusable", listed, crl(AUTHORITY), issuer=issuer)
        data = inTheNameOf(issuer, AUTHORITY)
        self.assertRefused("key is unusable", judged, data, issuer=issuer)

    def test_delta(self) -> None:
        """
        A list of changes says nothing, critical or not.
        """
        for isCritical in (True, False):
            made = crl(AUTHORITY, CERTIFICATE, extensions=[(x509.DeltaCRLIndicator(1), isCritical)])
            self.assertRefused("is a delta CRL", listed, made)

    def test_criticalExtensions(self) -> None:
        """
        A critical extension that is not known, of the list or of the
        certificate's entry, makes the list say nothing.
        """
        for isCritical in (True, False):
            extensions = [(UNKNOWN_EXTENSION, isCritical)]
            for made in (
                crl(AUTHORITY, CERTIFICATE, extensions=extensions),
                crl(AUTHORITY, entry(CERTIFICATE, extensions=extensions)),
            ):
                if isCritical:
                    self.assertRefused("critical extension that must not be: 1.2.3.4", listed, made)
                else:
                    self.assertStands(listed(made), Standing.revoked)

    def test_criticalNumber(self) -> None:
        """
        A list whose number is critical, which it must not be, says nothing (RFC
        5280 section 5.2.3).
        """
        number = x509.CRLNumber(7)
        numbered = crl(AUTHORITY, CERTIFICATE, extensions=[(number, False)])
        self.assertStands(listed(numbered), Standing.revoked)
        critical = crl(AUTHORITY, CERTIFICATE, extensions=[(number, True)])
        self.assertRefused("critical extension that must not be: 2.5.29.20", listed, critical)

    def test_scope(self) -> None:
        """
        A list counts only for the kind of certificates that it is for.
        """
        authority = Authority("intermediate", AUTHORITY).certificate
        cases: tuple[tuple[dict[str, Any], str | None, str | None], ...] = (
            ({"only_contains_user_certs": True}, None, "does not cover authorities"),
            ({"only_contains_ca_certs": True}, "covers authorities only", None),
            (
                {"only_contains_attribute_certs": True},
                "covers attribute certificates only",
                "covers attribute certificates only",
            ),
        )
        for scope, *problems in cases:
            for subject, problem in zip((CERTIFICATE, authority), problems, strict=True):
                for revoked, standing in (((), Standing.good), ((subject,), Standing.revoked)):
                    made = crl(AUTHORITY, *revoked, extensions=[_scope(**scope)])
                    if problem is None:
                        self.assertStands(listed(made, certificate=subject), standing)
                    else:
                        self.assertRefused(problem, listed, made, certificate=subject)

    def test_someReasons(self) -> None:
        """
        A list for some reasons only can revoke, but nobody is good by it.
        """
        reasons = frozenset({x509.ReasonFlags.key_compromise})
        extensions = [_scope(only_some_reasons=reasons)]
        self.assertStands(
            listed(crl(AUTHORITY, CERTIFICATE, extensions=extensions)), Standing.revoked
        )
        partial = crl(AUTHORITY, OTHER, extensions=extensions)
        self.assertRefused("is for some reasons only", listed, partial)
        # The certificate itself says that its lists are.
        points = x509.CRLDistributionPoints(
            [distributionPoint("http://crl.example", reasons=reasons)]
        )
        certificate = AUTHORITY.issue("x", extensions=[(points, False)]).certificate
        self.assertRefused(
            "is for some reasons only", listed, crl(AUTHORITY), certificate=certificate
        )
        self.assertStands(
            listed(crl(AUTHORITY, certificate), certificate=certificate), Standing.revoked
        )

    def test_distributionPoint(self) -> None:
        """
        A list for one distribution point counts for the certificates that name
        it.
        """
        ours = "http://crl.example/1"
        names = [x509.UniformResourceIdentifier(each) for each in ("ldap://x", ours)]
        made = crl(AUTHORITY, extensions=[_scope(full_name=names)])
        for urls, isCovered in (
            ((ours,), True),
            (("http://crl.example/0", ours), True),
            (("http://crl.example/2",), False),
            ((), False),
        ):
            extensions = [distribution(*urls)] if urls else []
            certificate = AUTHORITY.issue("x", extensions=extensions).certificate
            if isCovered:
                self.assertStands(listed(made, certificate=certificate), Standing.good)
            else:
                self.assertRefused(
                    "for another distribution point", listed, made, certificate=certificate
                )
        directory = _scope(full_name=[x509.DirectoryName(ISSUER.subject)])
        self.assertStands(listed(crl(AUTHORITY, extensions=[directory])), Standing.good)
        relative = x509.RelativeDistinguishedName(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]
        )
        made = crl(AUTHORITY, extensions=[_scope(relative_name=relative)])
        self.assertRefused("relative name", listed, made)

    def test_indirect(self) -> None:
        """
        In a list with entries of several issuers an entry counts if it says
        that it is this issuer's; one that does not may be another's.
        """
        own = (x509.CertificateIssuer([x509.DirectoryName(ISSUER.subject)]), True)
        foreign = (
            x509.CertificateIssuer([x509.DirectoryName(Authority("foreign").certificate.subject)]),
            True,
        )
        for isIndirect in (True, False):
            extensions = [_scope(indirect_crl=isIndirect)] if isIndirect else []
            made = crl(AUTHORITY, entry(CERTIFICATE, extensions=[own]), extensions=extensions)
            self.assertStands(listed(made), Standing.revoked)
            made = crl(AUTHORITY, entry(CERTIFICATE, extensions=[foreign]), extensions=extensions)
            self.assertRefused("perhaps of another issuer", listed, made)
            made = crl(AUTHORITY, entry(OTHER, extensions=[foreign]), extensions=extensions)
            self.assertStands(listed(made), Standing.good)
        inherited = crl(
            AUTHORITY,
            entry(OTHER, extensions=[foreign]),
            CERTIFICATE,
            extensions=[_scope(indirect_crl=True)],
        )
        self.assertRefused("perhaps of another issuer", listed, inherited)

    def test_unreadableCertificate(self) -> None:
        """
        A list with a scope does not cover a certificate that does not say what
        it is.
        """
        certificate = AUTHORITY.issue("x", extensions=[(DAMAGED_EXTENSION, False)]).certificate
        scope = [_scope(only_contains_user_certs=True)]
        self.assertRefused(
            "whose extensions are unreadable",
            listed,
            crl(AUTHORITY, extensions=scope),
            certificate=certificate,
        )

    def test_unreadableName(self) -> None:
        """
        No list is that of an issuer whose name cannot be read.
        """
        self.assertRefused(
            "the issuer's name is unreadable",
            listed,
            crl(AUTHORITY, NAMELESS),
            certificate=NAMELESS,
        )

    def test_tooLarge(self) -> None:
        """
        What is too large is not even read.
        """
        self.assertRefused("more than 20971520", listed, b"\x30" * (CRL_LIMIT + 1))
        self.assertRefused("is unreadable", listed, b"\x30" * CRL_LIMIT)

    def test_garbage(self) -> None:
        """
        Whatever is changed, cut off or added anywhere, the list proves nothing
        and nothing else happens.
        """
        data = crlBytes(
            crl(AUTHORITY, CERTIFICATE, extensions=[_scope(only_contains_user_certs=True)])
        )
        random = Random(1)
        for junk in (
            b"",
            b"hello",
            b"-----BEGIN X509 CRL-----",
            *(data[:n] for n in range(0, len(data), 7)),
        ):
            self.assertRefused("is unreadable", listed, junk)
        self.assertRefused("is unreadable", listed, data + b"\x00")
        for _ in range(400):
            changed = bytearray(data)
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
            self.assertRefused("", listed, bytes(changed))


class UrlTests(SynchronousTestCase):
    """
    Tests for L{ocspUrls}, L{issuerUrls} and L{crlUrls}.
    """

    def check(self, named: Iterable[str], found: tuple[str, ...]) -> None:
        """
        What is found if a certificate names these.
        """
        named = list(named)
        subject = AUTHORITY.issue("x", extensions=[access(named), distribution(*named)]).certificate
        self.assertEqual(ocspUrls(subject), found)
        self.assertEqual(issuerUrls(subject), ())
        self.assertEqual(crlUrls(subject), found)
        subject = AUTHORITY.issue("x", extensions=[access((), named)]).certificate
        self.assertEqual(ocspUrls(subject), ())
        self.assertEqual(issuerUrls(subject), found)
        self.assertEqual(crlUrls(subject), ())

    def test_found(self) -> None:
        """
        Plain http URLs are found in their order, each once, and four at most.
        """
        self.check(["http://a.example/x"], ("http://a.example/x",))
        self.check(["HTTP://b", "http://a", "HTTP://b"], ("HTTP://b", "http://a"))
        self.check(
            ["https://s", "ldap://l", "http://a", "ftp://f", "file:///etc/passwd", "http://b"],
            ("http://a", "http://b"),
        )
        self.check(
            [f"http://{each}" for each in range(9)], tuple(f"http://{each}" for each in range(4))
        )

    def test_unfit(self) -> None:
        """
        What is no URL that can be asked for is left out.
        """
        self.check(["http://", "http:/a", "http", "xhttp://a"], ())
        self.check(["http://a b", "http://a\r\nHost: b", "http://a\x00", "http://a\x7f"], ())
        self.check(["http://" + "a" * 2000], ("http://" + "a" * 2000,))
        self.check(["http://" + "a" * 2001], ())

    def test_none(self) -> None:
        """
        A certificate that names none has none, and so has one whose extensions
        are damaged.
        """
        for extensions in ([], [access(["http://a"]), (DAMAGED_EXTENSION, False)]):
            subject = AUTHORITY.issue("x", extensions=extensions).certificate
            for urls in (ocspUrls, issuerUrls, crlUrls):
                self.assertEqual(urls(subject), ())

    def test_unreadableName(self) -> None:
        """
        CRLs are of no use to a certificate whose issuer's name cannot be read.
        """
        self.assertEqual(crlUrls(NAMELESS), ())
        self.assertEqual(ocspUrls(NAMELESS), ("http://a",))

    def test_otherIssuer(self) -> None:
        """
        CRLs of other issuers are left out.
        """
        foreign = Authority("foreign").certificate.subject
        points = [
            distributionPoint("http://foreign", issuer=foreign),
            distributionPoint("http://own", issuer=ISSUER.subject),
        ]
        subject = AUTHORITY.issue(
            "x", extensions=[(x509.CRLDistributionPoints(points), False)]
        ).certificate
        self.assertEqual(crlUrls(subject), ("http://own",))


def _scope(**scope: Any) -> tuple[x509.IssuingDistributionPoint, bool]:
    """
    What a list is for, as its critical extension.
    """
    empty: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**empty, **scope}), True
