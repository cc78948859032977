"""Writes a key and its self-signed certificate into one file, and a world that knows the certificate."""

import json
import sys
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

world, identity, changed = sys.argv[1:]
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
now = datetime.now(timezone.utc)
certificate = (
    x509.CertificateBuilder()
    .subject_name(name)
    .issuer_name(name)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(now - timedelta(hours=1))
    .not_valid_after(now + timedelta(days=1))
    .sign(key, hashes.SHA256())
)
public = certificate.public_bytes(serialization.Encoding.PEM).decode()
private = key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
with open(identity, "w", encoding="utf-8") as file:
    file.write(private + public)
with open(world, encoding="utf-8") as file:
    text = file.read()
secrets = "    secrets: [{value: demo-secret}]\n"
assert secrets in text
with open(changed, "w", encoding="utf-8") as file:
    # A JSON string is a YAML string.
    file.write(text.replace(secrets, f"{secrets}    certificates: [{{pem: {json.dumps(public)}}}]\n"))
