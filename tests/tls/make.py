"""Make the certificates of this folder anew: ``pip install cryptography && python tests/tls/make.py``.

They serve tests on loopback only; the keys beside them are public and protect nothing.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
LONG_AGO, PAST, FAR = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2020, 2021, 2120))


def name(text: str) -> x509.Name:
    """Give a subject of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    key: ec.EllipticCurvePrivateKey,
    subject: str,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    until: datetime.datetime = FAR,
    alternative: x509.GeneralName | None = None,
) -> x509.Certificate:
    """Sign *subject* with *signer*."""
    built = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=alternative is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if alternative is not None:
        built = built.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
    else:
        usage = dict.fromkeys(
            (
                "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
                "encipher_only decipher_only"
            ).split(),
            False,
        )
        built = built.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    return built.sign(signer, hashes.SHA256())


def write(file: str, made: x509.Certificate, key: ec.EllipticCurvePrivateKey | None) -> None:
    """Write the certificate, and the key behind it."""
    text = made.public_bytes(serialization.Encoding.PEM)
    if key is not None:
        text += key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    (HERE / file).write_bytes(text)


def main() -> None:
    """Write an authority and four servers: sound, expired, for another host, signed by itself."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    here, other = x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("other.example")
    root = "copykit test authority"
    write("authority.pem", certificate(authority, root, root, authority), None)
    write("sound.pem", certificate(server, "sound", root, authority, alternative=here), server)
    write(
        "expired.pem", certificate(server, "expired", root, authority, until=PAST, alternative=here), server
    )
    write("other_host.pem", certificate(server, "other", root, authority, alternative=other), server)
    write("self_signed.pem", certificate(server, "self", "self", server, alternative=here), server)


if __name__ == "__main__":
    main()
