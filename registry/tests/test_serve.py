"""``layerstore serve`` as a process: how it starts, stops, and what it makes of clients that misbehave."""

from __future__ import annotations

import base64
import http.client
import io
import os
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import layerstore
from layerstore_registry.messages.parts import Part
from layerstore_registry.messages.ranges import Span
from layerstore_registry.serving.server import HUNG, Hooks, Server, Serving, is_loopback

if TYPE_CHECKING:
    from tests.registry_client import NAME, UPLOADS, digest
    from tests.serving import DEADLINE, Node, command, environment, events, eventually, run, serving
else:
    from registry_client import NAME, UPLOADS, digest
    from serving import DEADLINE, Node, command, environment, events, eventually, run, serving

DATA = bytes(range(256)) * 4000


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Name a store that nothing was ever stored in."""
    return f"local:{tmp_path / 'store'}"


@pytest.fixture
def own(store: str, tmp_path: Path) -> Iterator[Node]:
    """Serve it, for one test to do with the server what it likes."""
    with serving(store=store, log=tmp_path / "log") as node:
        yield node


def begin(node: Node) -> str:
    """Begin an upload, and return where it is."""
    return node.request("POST", UPLOADS, b"").headers["Location"]


def offset(node: Node, where: str) -> int:
    """Ask how many bytes an upload has; one reads as none."""
    return int(node.request("GET", where).headers["Range"].partition("-")[2])


def read_all(link: socket.socket) -> bytes:
    """Read until the other side closes."""
    parts: list[bytes] = []
    while True:
        try:
            data = link.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            return b"".join(parts)
        parts.append(data)


def said(node: Node, data: bytes) -> bytes:
    """Send bytes on a connection of their own, end that, and return all that comes back."""
    with node.connect() as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        return read_all(link)


def head(method: str, path: str, *headers: str) -> bytes:
    """Write the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: registry", *headers, "", ""]).encode("latin-1")


def test_a_fresh_store_is_empty_and_not_out_of_order(own: Node) -> None:
    """What is asked of a store that nothing was ever stored in is answered."""
    assert own.request("GET", "/v2/_catalog").body == b'{"repositories": []}\n'
    assert own.request("HEAD", f"/v2/{NAME}/blobs/{digest(DATA)}").status == 404


def test_a_fresh_store_that_is_only_to_be_read_is_not_made(store: str) -> None:
    """It is refused instead."""
    done = run("--store", store, "--read-only", "--check")
    assert (done.returncode, "backend unavailable" in done.stderr) == (1, True)
    assert not Path(store.partition(":")[2]).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(own: Node, number: int) -> None:
    """As a program that has done what it should."""
    assert own.request("GET", "/v2/").status == 200
    own.process.send_signal(number)
    assert own.process.wait(50) == 0  # before the workers would be killed
    assert "Traceback" not in "".join(own.lines)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_blob_goes_in_and_out(node: Node, method: str) -> None:
    """Whole, and in parts, from a file."""
    path = f"{UPLOADS}?digest={digest(DATA)}" if method == "POST" else f"{begin(node)}?digest={digest(DATA)}"
    assert node.request(method, path, DATA).status == 201
    blob = f"/v2/{NAME}/blobs/{digest(DATA)}"
    assert node.request("GET", blob).body == DATA
    answer = node.request("GET", blob, Range="bytes=1000-500000")
    assert (answer.status, answer.body) == (206, DATA[1000:500001])
    answer = node.request("HEAD", blob)
    assert (answer.body, answer.headers["Content-Length"]) == (b"", str(len(DATA)))


def test_a_part_of_a_layer_is_sent_from_its_file(tmp_path: Path) -> None:
    """By a descriptor that is positioned where the part begins; where there is none, it is read."""
    for url in (f"local:{tmp_path}", f"memory://{tmp_path.name}"):
        upload = layerstore.open(url).upload("a")
        upload.write(DATA)
        part = Part(upload.finish(digest(DATA)), Span(1000, 500))
        if url.startswith("local"):
            assert os.read(part.fileno(), 500) == DATA[1000:1500]
        else:
            with pytest.raises(io.UnsupportedOperation):
                part.fileno()
        assert part.read(400) + part.read(400) + part.read(400) == DATA[1000:1500]
        part.close()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "registry.invalid:0", ":0"])
def test_it_is_not_reached_from_other_machines_unasked(store: str, address: str) -> None:
    """Neither by a number nor by a name; nothing is made of the store then."""
    done = run("--store", store, "--listen", address)
    assert done.returncode == 2
    assert "is not this machine alone" in done.stderr
    assert not Path(store.partition(":")[2]).exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1", "unix:/tmp/x"])
def test_an_address_of_this_machine_alone_is_known(address: str) -> None:
    """By number, name or path."""
    assert is_loopback(address)


def test_what_was_asked_for_is_done(store: str) -> None:
    """It may be reached from elsewhere where that was said."""
    assert run("--store", store, "--listen", "0.0.0.0:0", "--insecure", "--check").returncode == 0


def test_one_store_in_memory_is_served_by_one_process(store: str) -> None:
    """Two would not see each other's."""
    done = run("--store", "memory://x", "--workers", "2")
    assert (done.returncode, "--workers 1" in done.stderr) == (2, True)
    assert run("--store", store, "--workers", "2", "--check").returncode == 0


def test_nobody_is_led_to_a_store_that_signs_no_urls(store: str) -> None:
    """Rather than that the option does nothing."""
    done = run("--store", store, "--redirect", "--check")
    assert (done.returncode, "--redirect" in done.stderr) == (2, True)


def test_options_may_stand_in_a_file_and_in_the_environment(store: str, tmp_path: Path) -> None:
    """The command line goes first, then the environment, then the file."""
    config = tmp_path / "serve.toml"
    config.write_text(f'store = "{store}"\nlisten = ["0.0.0.0:0"]\nmax-manifest = "8MiB"\n')
    assert "0.0.0.0:0 is not" in run("--config", str(config)).stderr
    assert (
        "192.0.2.1:0 is not" in run(LAYERSTORE_SERVE_CONFIG=str(config), LAYERSTORE_SERVE_LISTEN="192.0.2.1:0").stderr
    )
    words = ("--config", str(config), "--listen", "127.0.0.1:0", "--check")
    assert run(*words, LAYERSTORE_SERVE_LISTEN="192.0.2.1:0").returncode == 0


@pytest.mark.parametrize("text", ["listn = 1", "check = true", "= 1", 'workers = "many"', "insecure = 5"])
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, store: str, text: str) -> None:
    """Rather than passed over."""
    config = tmp_path / "serve.toml"
    config.write_text(text)
    assert run("--config", str(config), "--store", store, "--check").returncode == 2


def test_it_listens_on_a_socket_that_is_a_file(store: str, tmp_path: Path) -> None:
    """For its owner and group alone; there, too, no header makes another path of a request's."""
    place = tmp_path / "socket"
    with serving("--listen", f"unix:{place}", store=store, log=tmp_path / "log") as node:
        assert node.url == f"unix:{place}"
        assert stat.S_IMODE(place.stat().st_mode) & 0o007 == 0
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(DEADLINE)
            link.connect(str(place))
            headers = ("SCRIPT_NAME: /v2/x", "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off")
            link.sendall(head("GET", "/v2/x/tags/list", *headers, "Connection: close"))
            assert b"no repository x" in read_all(link)


def test_events_may_be_told_as_json(store: str) -> None:
    """The addresses too."""
    words = ["--json", "--listen", "127.0.0.1:0", "--listen", "[::1]:0"]
    process = subprocess.Popen(command(*words, "--store", store), stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stderr is not None
    (event,) = events([process.stderr.readline()])
    assert event["event"] == "serving"
    assert [str(url).rpartition(":")[0] for url in event["urls"]] == ["http://127.0.0.1", "http://[::1]"]  # type: ignore[attr-defined]
    Node(process, str(event["urls"][0]), []).request("GET", "/v2/")  # type: ignore[index]
    process.terminate()
    assert process.wait(60) == 0
    process.stderr.close()


def test_an_address_that_is_taken_is_refused_at_once(own: Node, store: str) -> None:
    """In one line that names it, and not by five attempts; whether all else is in order can be asked meanwhile."""
    done = run("--store", store, "--listen", own.host)
    assert (done.returncode, done.stderr.count("Address already in use"), "Traceback" in done.stderr) == (2, 1, False)
    assert f"--listen {own.host}" in done.stderr
    assert run("--store", store, "--listen", own.host, "--check").returncode == 0


def test_what_clients_send_wrongly_is_no_warning(own: Node) -> None:
    """Many try TLS first: whoever serves need not be troubled by that."""
    assert said(own, b"\x16\x03\x01\n\n").startswith(b"HTTP/1.1 400 ")
    assert own.stop() == 0
    assert own.process.stderr is not None
    assert own.process.stderr.read() == ""


def test_a_client_may_wait_before_it_sends(node: Node) -> None:
    """It is told to go on."""
    with node.connect() as link:
        where = begin(node)
        link.sendall(head("PATCH", where, "Content-Length: 5", "Expect: 100-continue"))
        assert link.recv(100).startswith(b"HTTP/1.1 100 ")
        link.sendall(b"bytes")
        assert link.recv(100).startswith(b"HTTP/1.1 202 ")
    assert offset(node, where) == 4


def test_a_connection_is_good_for_many_requests(node: Node) -> None:
    """Also where one was refused, and its body not read."""
    link = http.client.HTTPConnection(node.host, timeout=DEADLINE)
    link.connect()
    opened = link.sock
    for _ in range(3):
        link.request("PATCH", f"{UPLOADS}x", bytes(1000))
        answer = link.getresponse()
        assert (answer.status, b"BLOB_UPLOAD_UNKNOWN" in answer.read()) == (404, True)
        assert link.sock is opened
    link.close()


@pytest.mark.parametrize("size", [0, 1, 5000, 9000, 3_000_000])
def test_requests_that_come_at_once_are_answered_in_turn(node: Node, size: int) -> None:
    """Where a body ends the next request begins, however the bytes come in packets."""
    where = begin(node)
    request = head("PATCH", where, f"Content-Length: {size}") + DATA[:1] * size
    answers = said(node, request + request + head("GET", "/v2/") + head("GET", where, "Connection: close"))
    assert [answer.split()[0] for answer in answers.split(b"HTTP/1.1 ")[1:]] == [b"202", b"202", b"200", b"204"]
    assert offset(node, where) == max(0, 2 * size - 1)


@pytest.mark.parametrize("cut", [b"", b"5\r\n", b"5\r\nbyt", b"5\r\nbytes\r\n", b"5\r\nbytes\r\n0\r\n", b"zz\r\n"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_body_in_chunks_that_is_cut_off_is_refused(node: Node, method: str, cut: bytes) -> None:
    """At any place, though what came would have the right digest; what came is kept, or nothing is."""
    where = begin(node)
    path = f"{where}?digest={digest(b'bytes')}" if method == "PUT" else where
    answer = said(node, head(method, path, "Transfer-Encoding: chunked") + cut)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert offset(node, where) == (4 if b"bytes" in cut else 2 if b"byt" in cut else 0)
    assert node.request("HEAD", f"/v2/{NAME}/blobs/{digest(b'bytes')}").status == 404


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_body_that_ends_early_is_refused_and_kept(node: Node, method: str) -> None:
    """The upload goes on where it ended."""
    where = begin(node)
    path = f"{where}?digest={digest(DATA)}" if method == "PUT" else where
    answer = said(node, head(method, path, f"Content-Length: {len(DATA)}") + DATA[:-1])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert offset(node, where) == len(DATA) - 2
    assert node.request("PUT", f"{where}?digest={digest(DATA)}", DATA[-1:]).status == 201


def test_a_client_that_stands_still_is_given_up(store: str, tmp_path: Path) -> None:
    """In the middle of a body, whose part is kept; and in the middle of a head."""
    with serving("--timeout", "1", "--threads", "1", store=store, log=tmp_path / "log") as node:
        where = begin(node)
        with node.connect() as body, node.connect() as line:
            body.sendall(head("PATCH", where, "Content-Length: 100") + b"bytes")
            line.sendall(b"GET /v2/ HT")
            assert b"HTTP/1.1 400" in read_all(body)
            assert read_all(line) == b""
        assert offset(node, where) == 4
        assert node.stop() == 0
    assert "Traceback" not in "".join(node.lines)


def drip(link: socket.socket) -> bool:
    """Send a header's bytes now and then, and tell whether the connection was ended meanwhile."""
    link.settimeout(0.1)
    for _ in range(100):
        try:
            link.sendall(b"x")
            if not link.recv(4096):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize("before", [b"", head("GET", "/v2/")])
def test_a_head_that_comes_a_byte_at_a_time_is_given_up(store: str, tmp_path: Path, before: bytes) -> None:
    """Also that of a later request; it would keep a thread for ever."""
    with serving("--timeout", "1", "--threads", "1", store=store, log=tmp_path / "log") as node:
        with node.connect() as link:
            link.sendall(before)
            assert not before or link.recv(4096).startswith(b"HTTP/1.1 200 ")
            link.sendall(b"GET /v2/ HTTP/1.1\r\nX: ")
            assert drip(link)
        assert node.request("GET", "/v2/").status == 200


def test_those_who_say_nothing_keep_nobody_waiting(store: str, tmp_path: Path) -> None:
    """Many more connections than threads."""
    with serving("--threads", "1", store=store, log=tmp_path / "log") as node:
        idle = [node.connect() for _ in range(300)]
        assert node.request("GET", "/v2/").status == 200
        for link in idle:
            link.close()


SMUGGLED = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\n\r\n"
DOUBTFUL = {
    "length and chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "chunks and length": ("Transfer-Encoding: chunked", "Content-Length: 5"),
    "two lengths": ("Content-Length: 5", "Content-Length: 6"),
    "a list of lengths": ("Content-Length: 5, 6",),
    "a length with a sign": ("Content-Length: +5",),
    "another coding": ("Transfer-Encoding: xchunked",),
    "chunks, then another": ("Transfer-Encoding: chunked, identity",),
    "chunks twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "space before the colon": ("Content-Length : 5",),
    "a folded header": ("X: a", " b"),
    "a bare line feed": ("X: a\nTransfer-Encoding: chunked",),
}


@pytest.mark.parametrize("headers", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_request_whose_end_is_doubtful_is_refused(node: Node, headers: tuple[str, ...]) -> None:
    """And nothing that is behind it is taken for a request."""
    where = begin(node)
    answer = said(node, head("PATCH", where, *headers) + b"0\r\n\r\n" + SMUGGLED)
    assert answer.count(b"HTTP/1.1") <= 1
    assert b"NAME_UNKNOWN" not in answer
    assert not answer or answer.split()[1] in (b"400", b"501")
    assert offset(node, where) == 0


def test_a_request_line_has_room_for_what_the_specification_asks(node: Node) -> None:
    """Ten tags and a long name; more than that is refused."""
    tags = "&".join(f"tag={'x' * 127}{number}" for number in range(10))
    answer = node.request("PUT", f"/v2/{'n' * 255}/manifests/{digest(b'')}?{tags}", b"{}")
    assert answer.status == 400
    assert b"DIGEST_INVALID" in answer.body
    for length, status in ((8100, b"200"), (8200, b"414")):
        assert said(node, head("GET", f"/v2/?{'x' * length}")).split()[1] == status


def test_a_head_has_room_for_a_long_token(node: Node) -> None:
    """One that lists many repositories."""
    assert said(node, head("GET", "/v2/", f"X: {'x' * 16_000}")).split()[1] == b"200"


@pytest.mark.parametrize("headers", [[f"X{number}: x" for number in range(200)], [f"X: {'x' * 17_000}"]])
def test_a_head_that_is_too_large_is_refused(node: Node, headers: list[str]) -> None:
    """By lines, or by bytes."""
    assert said(node, head("GET", "/v2/", *headers)).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


def test_nobody_says_where_a_request_belongs_but_its_path(node: Node) -> None:
    """No header makes another path of it, or another scheme."""
    for header in ("SCRIPT_NAME: /v2", "SCRIPT-NAME: /v2", "PATH_INFO: /x", "X-Forwarded-Proto: https"):
        assert said(node, head("GET", "/v2/", header)).endswith(b"\r\n\r\n{}")


def test_a_hello_in_tls_is_refused_at_once(node: Node) -> None:
    """Clients try that first."""
    context = ssl.create_default_context()
    with node.connect() as link, pytest.raises(ssl.SSLError):
        context.wrap_socket(link, server_hostname="localhost")


def test_gunicorn_trusts_nobody_and_asks_nobody() -> None:
    """What it would take from its environment, from its neighbours or from a version to come is said."""
    nothing = Hooks(load=print, unload=print, started=print, renew=print, gone=print)  # type: ignore[arg-type]  # unused
    settings = Server(Serving(), nothing)._settings()
    assert (settings["forwarded_allow_ips"], settings["http_parser"]) == ("", "python")
    assert (settings["keepalive"], settings["control_socket_disable"]) == (75, True)


def test_a_worker_reads_its_certificate_once() -> None:
    """And not for each connection."""
    nothing = Hooks(load=print, unload=print, started=print, renew=print, gone=print)  # type: ignore[arg-type]  # unused
    context = Server(Serving(), nothing)._settings()["ssl_context"]
    made = [context(None, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) for _ in range(2)]
    assert made[0] is made[1]


def test_no_worker_is_killed_for_a_client_that_stands_still() -> None:
    """Gunicorn takes its timeout for how long a worker may be silent, which one is that waits a second for events."""
    nothing = Hooks(load=print, unload=print, started=print, renew=print, gone=print)  # type: ignore[arg-type]  # unused
    settings = Server(Serving(timeout=1), nothing)._settings()
    assert (settings["timeout"], settings["worker_class"].patience) == (HUNG, 1)


def test_a_slash_that_is_spelled_otherwise_is_refused(node: Node) -> None:
    """By the path as it was sent."""
    assert b" 400 " in said(node, head("GET", "/v2/a%2Fb/tags/list")).partition(b"\r\n")[0]


def test_requests_under_way_end_before_the_server_does(own: Node) -> None:
    """One that is told to stop takes the rest of a body, and answers."""
    where = begin(own)
    with own.connect() as link:
        link.sendall(head("PATCH", where, "Content-Length: 10", "Expect: 100-continue"))
        assert link.recv(100).startswith(b"HTTP/1.1 100 ")
        link.sendall(b"12345")
        own.process.send_signal(signal.SIGTERM)
        link.sendall(b"67890")
        assert link.recv(100).startswith(b"HTTP/1.1 202 ")
    assert own.process.wait(60) == 0


def test_of_a_request_that_is_killed_all_but_its_end_is_kept(own: Node, store: str) -> None:
    """A worker that is killed has flushed every 64 MiB, and is replaced."""
    where = begin(own)
    (worker,) = own.workers()
    with own.connect() as link:
        link.sendall(head("PATCH", where, f"Content-Length: {1 << 30}"))
        block = bytes(1 << 20)
        for _ in range(66):
            link.sendall(block)
        uuid = where.rpartition("/")[2]
        with layerstore.open(store) as service:
            eventually(lambda: service.status(NAME, uuid).offset >= 64 << 20)
        os.kill(worker, signal.SIGKILL)
        assert b"202" not in read_all(link)
    assert offset(own, where) == (64 << 20) - 1
    assert own.workers() != [worker]


def test_requests_are_logged_for_machines(store: str, tmp_path: Path) -> None:
    """One line each, without what clients put into the query, and without their secrets."""
    log = tmp_path / "log"
    with serving("--access-log", "json", store=store, log=log) as node:
        node.request("GET", "/v2/?secret=1", Authorization="Basic c2VjcmV0", User_Agent='a"b')
        assert node.stop() == 0
    (line,) = events(log.read_text().splitlines())
    assert (line["method"], line["path"], line["status"], line["agent"]) == ("GET", "/v2/", 200, 'a"b')
    assert set(line) == {"time", "client", "user", "method", "path", "status", "sent", "seconds", "agent"}


def test_requests_are_logged_in_the_common_form(store: str, tmp_path: Path) -> None:
    """One line each, that nothing a client sends ends."""
    log = tmp_path / "log"
    with serving("--access-log", "common", store=store, log=log) as node:
        node.request("GET", "/v2/", User_Agent='a"b')
        assert node.stop() == 0
    (line,) = log.read_text().splitlines()
    assert '"GET /v2/" 200 2 ' in line
    assert line.endswith('"a\\"b"')


def certify(folder: Path) -> tuple[str, str]:
    """Make a certificate of this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "cert.pem").write_bytes(made)
    (folder / "key.pem").write_bytes(secret)
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_it_speaks_tls(store: str, tmp_path: Path) -> None:
    """Blobs go in and out; a client that stops in the middle of the hello, or says none, keeps nobody waiting."""
    cert, key = certify(tmp_path)
    words = ("--tls-cert", cert, "--tls-key", key, "--timeout", "1", "--threads", "1")
    with serving(*words, store=store, log=tmp_path / "log") as node:
        assert node.url.startswith("https:")
        with node.connect() as half, node.connect() as plain:
            half.sendall(b"\x16\x03\x01\x02\x00")
            plain.sendall(b"GET /v2/ HTTP/1.1\r\n\r\n")
            assert node.request("POST", f"{UPLOADS}?digest={digest(DATA)}", DATA).status == 201
            assert b"200" not in read_all(half) + read_all(plain)
        assert node.request("GET", f"/v2/{NAME}/blobs/{digest(DATA)}").body == DATA
        assert node.stop() == 0


def test_a_client_that_stands_still_is_given_up_in_tls(store: str, tmp_path: Path) -> None:
    """Also in the middle of a later request on a connection that was kept."""
    cert, key = certify(tmp_path)
    words = ("--tls-cert", cert, "--tls-key", key, "--timeout", "1", "--threads", "1")
    with serving(*words, store=store, log=tmp_path / "log") as node:
        context = ssl._create_unverified_context()
        with node.connect() as link, context.wrap_socket(link) as kept:
            kept.sendall(head("GET", "/v2/"))
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            kept.sendall(b"GET /v2/ HT")
            assert b"HTTP/1.1 200" not in read_all(kept)
        assert node.request("GET", "/v2/").status == 200


@pytest.mark.parametrize("guard", [(), ("--read-only",), ("--htpasswd",)])
def test_whoever_may_be_reached_says_who_may_push(store: str, tmp_path: Path, guard: tuple[str, ...]) -> None:
    """TLS alone keeps nobody out."""
    cert, key = certify(tmp_path)
    Path(store.removeprefix("local:")).mkdir()
    words = ["--store", store, "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key, "--check", *guard]
    done = run(*words, *([str(users(tmp_path, "alice"))] if guard == ("--htpasswd",) else []))
    assert (done.returncode, "anybody might push" in done.stderr) == ((0, False) if guard else (2, True))


def users(folder: Path, *names: str) -> Path:
    """Write a file of users, whose password is their name."""
    lines = [f"{name}:{bcrypt.hashpw(name.encode(), bcrypt.gensalt(4)).decode()}" for name in names]
    (folder / "users").write_text("\n".join(lines))
    return folder / "users"


def test_a_certificate_and_a_key_that_do_not_fit_are_refused(store: str, tmp_path: Path) -> None:
    """Before anybody comes."""
    cert, _ = certify(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = certify(tmp_path / "other")
    for words in (("--tls-cert", cert, "--tls-key", key), ("--tls-cert", cert), ("--tls-key", key)):
        assert run("--store", store, "--check", *words).returncode == 2


def test_users_are_read_anew(store: str, tmp_path: Path) -> None:
    """By SIGHUP; a file that is not in order changes nothing, and a warning says so."""
    words = ("--json", "--htpasswd", str(users(tmp_path, "alice")), "--access-log", "json")
    log = tmp_path / "log"
    with serving(*words, store=store, log=log) as node:

        def may(name: str) -> bool:
            token = base64.b64encode(f"{name}:{name}".encode()).decode()
            return node.request("GET", "/v2/", Authorization=f"Basic {token}").status == 200

        assert (may("alice"), may("bob")) == (True, False)
        users(tmp_path, "bob")
        node.process.send_signal(signal.SIGHUP)
        eventually(lambda: may("bob"))
        eventually(lambda: not may("alice"))  # a worker of before may still answer
        (tmp_path / "users").write_text("bob:secret")
        node.process.send_signal(signal.SIGHUP)
        assert node.process.stderr is not None
        warning = node.process.stderr.readline()
        assert ('"warning"' in warning, "secret" in warning) == (True, False)
        assert may("bob")
        assert node.stop() == 0
    assert {line["user"] for line in events(log.read_text().splitlines())} == {"alice", "bob", "-"}
