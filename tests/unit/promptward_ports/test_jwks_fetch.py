"""Fetching key sets from real sockets: what a key server may and may not do."""

from __future__ import annotations

import datetime
import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from promptward.auth.jwks import MAX_BYTES
from promptward.errors import PortError
from promptward.testing.tokens import key_mint
from promptward_ports.jwks_fetch import fetch_jwks

KEY = key_mint("ES256", "k1").jwk
DOCUMENT = json.dumps({"keys": [KEY]}).encode()
Answer = Callable[[BaseHTTPRequestHandler], None]


class KeyServer:
    """A loopback HTTP server that answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.answers: dict[str, Answer] = {}
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests.append(
                    {name.lower(): value for name, value in self.headers.items()}
                )
                try:
                    served.answers[self.path](self)
                except OSError:
                    self.close_connection = True  # the client had enough

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self._thread.start()

    def uri(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[KeyServer]:
    made = KeyServer()
    yield made
    made.close()


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return send


def test_a_key_set_is_fetched(server: KeyServer) -> None:
    assert fetch_jwks(server.uri("/jwks", answer(DOCUMENT))) == (KEY,)
    (request,) = server.requests
    assert "application/jwk-set+json" in request["accept"]


def test_a_compressed_key_set(server: KeyServer) -> None:
    body = gzip.compress(DOCUMENT)
    assert fetch_jwks(server.uri("/jwks", answer(body, content_encoding="gzip"))) == (KEY,)


def test_chunks_of_any_size(server: KeyServer) -> None:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("transfer-encoding", "chunked")
        request.end_headers()
        for start in range(0, len(DOCUMENT), 7):
            piece = DOCUMENT[start : start + 7]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.wfile.write(b"0\r\n\r\n")

    assert fetch_jwks(server.uri("/jwks", send)) == (KEY,)


@pytest.mark.parametrize("status", [204, 301, 302, 304, 307, 308, 401, 404, 500, 503])
def test_anything_but_200_is_refused_and_redirects_are_not_followed(
    status: int, server: KeyServer
) -> None:
    target = server.uri("/elsewhere", answer(DOCUMENT))
    uri = server.uri("/jwks", answer(b"", status, location=target))
    with pytest.raises(PortError, match=f"answered {status}"):
        fetch_jwks(uri)
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"keys":1}', b"[]", b'{"keys":[],"keys":[]}'])
def test_anything_but_a_key_set_is_refused(body: bytes, server: KeyServer) -> None:
    with pytest.raises(PortError, match="the key set"):
        fetch_jwks(server.uri("/jwks", answer(body)))


def test_an_endless_body_is_cut_off(server: KeyServer) -> None:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b" " * 65536)

    with pytest.raises(PortError, match=f"larger than {MAX_BYTES} bytes"):
        fetch_jwks(server.uri("/jwks", send))


def test_a_compression_bomb_is_cut_off(server: KeyServer) -> None:
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    with pytest.raises(PortError, match=f"larger than {MAX_BYTES} bytes"):
        fetch_jwks(server.uri("/jwks", answer(bomb, content_encoding="gzip")))


def test_a_body_shorter_than_announced_is_refused(server: KeyServer) -> None:
    uri = server.uri("/jwks", answer(DOCUMENT, content_length=str(len(DOCUMENT) + 10)))
    with pytest.raises(PortError, match="the key server failed"):
        fetch_jwks(uri, 0.5)


def test_a_server_that_says_nothing_times_out(server: KeyServer) -> None:
    done = threading.Event()

    def say_nothing(_: BaseHTTPRequestHandler) -> None:
        done.wait(10)

    uri = server.uri("/jwks", say_nothing)
    started = time.monotonic()
    with pytest.raises(PortError, match="the key server failed: ReadTimeout"):
        fetch_jwks(uri, 0.2)
    done.set()
    assert time.monotonic() - started < 5


def test_a_server_that_drips_is_cut_off_at_the_deadline(server: KeyServer) -> None:
    stop = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not stop.wait(0.02):
            request.wfile.write(b" ")

    started = time.monotonic()
    with pytest.raises(PortError, match="took too long"):
        fetch_jwks(server.uri("/jwks", drip), 0.3)
    stop.set()
    assert time.monotonic() - started < 5


def test_nobody_there() -> None:
    server = KeyServer()
    uri = server.uri("/jwks", answer(DOCUMENT))
    server.close()
    with pytest.raises(PortError, match="the key server failed: ConnectionError"):
        fetch_jwks(uri, 1)


@pytest.mark.parametrize(
    "uri", ["http://idp.example/jwks", "ftp://127.0.0.1/", "https://", "http://10.0.0.1/jwks"]
)
def test_insecure_addresses_are_not_even_tried(uri: str) -> None:
    with pytest.raises(PortError, match="neither https nor a loopback"):
        fetch_jwks(uri)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture
def https(server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """The server behind TLS: an address and the certificate, which nobody trusts yet."""
    certificate_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.uri("/jwks", answer(DOCUMENT))
    monkeypatch.setenv("NO_PROXY", "localhost")
    return f"https://localhost:{server.http.server_port}/jwks", certificate_file


def test_the_certificate_must_be_trusted(
    https: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, certificate_file = https
    with pytest.raises(PortError, match="the key server failed: SSLError"):
        fetch_jwks(uri)
    # a private authority is trusted the way every program on the host trusts it
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate_file))
    assert fetch_jwks(uri) == (KEY,)


def test_no_credentials_are_sent(
    https: tuple[str, Path], server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, certificate_file = https
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate_file))
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login canary password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetch_jwks(uri)
    (request,) = server.requests
    assert not {"authorization", "cookie"} & set(request)
