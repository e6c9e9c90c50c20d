"""The stand-in model server, and its certificate for bedrock-runtime, valid for clients that trust our CA."""

import datetime
import json
import subprocess
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ..children import Children

LOCAL = Path(__file__).resolve().parents[3]  # tests/local
SERVER = LOCAL / "model" / "server.mjs"


class ModelServer:
    """The first invocation starts the server; one server serves all regions and names."""

    def __init__(self, directory: Path, children: Children):
        self._directory = directory / "model"
        self._children = children
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._names: set[str] = set()

    @property
    def ca_file(self) -> Path:
        return self._directory / "ca.pem"

    def port(self, names: set[str]) -> int:
        """The port of a server whose certificate covers these names."""
        with self._lock:
            running = self._process is not None and self._process.poll() is None
            if not running or not names <= self._names:
                if self._process is not None:
                    self._children.stop(self._process)
                self._names |= names
                self._start()
            return self._port

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        certificate, key = _write_certificates(self._directory, sorted(self._names))
        command = ["node", str(SERVER), "--port", "0", "--cert", str(certificate), "--key", str(key)]
        self._process = self._children.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the model server did not start: {' '.join(command)}")
        self._port = json.loads(ready)["port"]


def wildcard(name: str) -> str:
    """`vpce-….bedrock-runtime.us-east-1.vpce.amazonaws.com` is covered by a wildcard; public names are themselves."""
    return f"*.{name.partition('.')[2]}" if name.startswith("vpce-") else name


def _write_certificates(directory: Path, names: list[str]) -> tuple[Path, Path]:
    ca_key_file, ca_file = directory / "ca.key", directory / "ca.pem"
    if ca_file.exists():
        ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
        ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
    else:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _certificate("local-aws CA", ca_key, "local-aws CA", ca_key, None)
        ca_key_file.write_bytes(_pem(ca_key))
        ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("local-aws model", key, "local-aws CA", ca_key, names)
    certificate_file, key_file = directory / "model.pem", directory / "model.key"
    certificate_file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM) + ca.public_bytes(serialization.Encoding.PEM)
    )
    key_file.write_bytes(_pem(key))
    return certificate_file, key_file


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: list[str] | None,
) -> x509.Certificate:
    """A server's certificate for these names; without names, a CA's."""
    now = datetime.datetime.now(datetime.UTC)
    authority = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
