"""The messages of the Azure driver: each says what is wrong, and what to do."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import HttpTransport
from azure.storage.blob import ContainerClient, generate_container_sas

import layerstore
from layerstore import AccessDeniedError, BackendUnavailableError, DriverError, DriverLoadError, NoSpaceError
from layerstore_drivers.azure import client
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_strict import answer
else:
    from azure_strict import answer

pytestmark = pytest.mark.xdist_group("azurite")

KEY = "c2VjcmV0LWtleQ=="
SAS = "sv=2024-11-04&sr=c&sig=secret-signature"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no proxy, no bundle of certificates, and nothing of Azure's in the environment."""
    for name in (
        *PROXIES,
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        *filter(lambda n: n.startswith("AZURE_"), os.environ),
    ):
        monkeypatch.delenv(name, raising=False)


def failure(endpoint: str = "https://acme.blob.invalid", **options: Any) -> DriverError:  # noqa: ANN401  (options')
    """Return the error of looking at a key in a store."""
    given = {"account_key": KEY, **options} if not {"sas_token", "credential"} & options.keys() else options
    with (
        pytest.raises(DriverError) as failed,
        closing(layerstore.open_driver("azure://acme/layers", endpoint=endpoint, **given)) as driver,
    ):
        driver.stat("key")
    shown = f"{failed.value} {failed.value!r}"
    assert "\n" not in str(failed.value)
    assert not any(secret in shown for secret in (KEY, "secret-signature", "pa55word"))
    return failed.value


class Answering(HttpTransport[Any, Any]):
    """A transport that answers each request with one error, and counts."""

    def __init__(self, status: int, code: str, **headers: str) -> None:
        """Answer so."""
        self.status, self.code, self.headers = status, code, headers
        self.asked = 0

    def send(self, request: Any, **_: Any) -> Any:  # noqa: ANN401  (as the SDK's)
        """Answer."""
        self.asked += 1
        return answer(request, self.status, self.code, **self.headers)

    def sleep(self, duration: float) -> None:
        """Wait for nothing."""

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses before requests are repeated; none is waited for."""
    waited: list[float] = []
    monkeypatch.setattr(
        client._Retry, "sleep", lambda retry, settings, _: waited.append(retry.get_backoff_time(settings))
    )
    return waited


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Serve connections, each by a function, on ports of this machine; return the port."""
    listening: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(act: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed
                    return
                with connection:
                    act(connection)

        threads.append(threading.Thread(target=accept))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield begin
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate that is signed by itself alone."""
    path = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=path, check=True, capture_output=True)
    (path / "both.pem").write_bytes((path / "key.pem").read_bytes() + (path / "certificate.pem").read_bytes())
    return path / "both.pem"


def _tls(certificate: Path) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def act(connection: socket.socket) -> None:
        with suppress(OSError):  # the client is not content
            context.wrap_socket(connection, server_side=True).close()

    return act


def test_a_certificate_that_is_not_trusted_is_named(
    serve: Callable[..., int], certificate: Path, no_wait: list[float]
) -> None:
    """A certificate that is not trusted is named as what is wrong, with how to trust it, and nothing is repeated."""
    port = serve(_tls(certificate))
    error = failure(f"https://127.0.0.1:{port}")
    assert isinstance(error, BackendUnavailableError)
    assert f"certificate of 127.0.0.1:{port} is not trusted: self-signed certificate" in str(error)
    assert "REQUESTS_CA_BUNDLE" in str(error)
    assert no_wait == []


def test_a_server_without_tls_is_named(serve: Callable[..., int]) -> None:
    """If an http server listens at an https endpoint, the message names TLS, and not a permission."""
    port = serve(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    message = str(failure(f"https://127.0.0.1:{port}", retries=0))
    assert f"no TLS with 127.0.0.1:{port}" in message
    assert "http or https" in message


def test_a_missing_bundle_of_certificates_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named that names a file which is not there; where there is no TLS it does not matter."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    assert "variable REQUESTS_CA_BUNDLE" in str(failure())
    assert "127.0.0.1:9" in str(failure("http://127.0.0.1:9", retries=0))


def test_a_host_that_does_not_resolve_is_named_after_a_second_look(no_wait: list[float]) -> None:
    """The host is named; a name that was never found is looked up twice, however many retries there are."""
    error = failure("https://acme.blob.invalid", retries=4)
    assert isinstance(error, BackendUnavailableError)
    assert "host name acme.blob.invalid does not resolve" in str(error)
    assert len(no_wait) == 1


def test_a_host_that_did_answer_is_looked_up_as_often_as_anything(
    serve: Callable[..., int], no_wait: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When names cannot be looked up for a while, in the middle of work, all retries count."""

    def not_found(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nx-ms-error-code: BlobNotFound\r\nConnection: close\r\n\r\n")

    endpoint = f"http://localhost:{serve(not_found)}"
    with closing(
        layerstore.open_driver("azure://acme/layers", endpoint=endpoint, account_key=KEY, retries=3)
    ) as driver:
        assert driver.find("key") is None
        monkeypatch.setattr(socket, "getaddrinfo", _no_name)
        with pytest.raises(BackendUnavailableError, match="does not resolve"):
            driver.stat("key")
    assert len(no_wait) == 3


def _no_name(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize("endpoint", ["https://acme.blob.invalid", "http://acme.blob.invalid"])
def test_a_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """A proxy that does not answer is named with its variables, and without its password."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://user:pa55word@127.0.0.1:9")
    message = str(failure(endpoint, retries=0))
    assert "the proxy 127.0.0.1:9" in message
    assert "HTTPS_PROXY" in message
    assert "Connection refused" in message
    assert "NO_PROXY" in message


def test_a_proxy_that_refuses_is_named(serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's own refusal is reported as the proxy's, with its status."""
    port = serve(lambda connection: connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    message = str(failure(retries=0))
    assert "the proxy" in message
    assert "HTTP 407" in message


def test_a_proxy_whose_certificate_is_not_trusted_is_named(
    serve: Callable[..., int], certificate: Path, no_wait: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS failure on the way to a proxy is reported as the proxy's."""
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{serve(_tls(certificate))}")
    message = str(failure())
    assert "the proxy" in message
    assert "the TLS certificate of the proxy is not trusted: self-signed certificate" in message
    assert no_wait == []


@pytest.mark.parametrize("proxy", ["http://proxy.invalid:3128", "http://:pa55word", "socks5://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str, no_wait: list[float]
) -> None:
    """A proxy whose name or URL is wrong, or which takes another package, is reported as the proxy's fault."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    message = str(failure())
    assert "proxy" in message
    assert "HTTPS_PROXY" in message
    assert len(no_wait) <= 1


def test_a_silent_server_is_named_with_the_option_timeout(serve: Callable[..., int]) -> None:
    """The message names the option that says how long a server may be silent."""
    gone = threading.Event()
    port = serve(lambda _: bool(gone.wait(30)) or None)
    try:
        message = str(failure(f"http://127.0.0.1:{port}", retries=0, timeout=1))
    finally:
        gone.set()
    assert f"no answer from 127.0.0.1:{port} in time" in message
    assert "option timeout" in message


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AuthenticationFailed", AccessDeniedError, "key or SAS token is wrong"),
        (403, "AuthorizationFailure", AccessDeniedError, "firewall"),
        (403, "AuthorizationPermissionMismatch", AccessDeniedError, "Storage Blob Data Contributor"),
        (403, "AuthorizationProtocolMismatch", AccessDeniedError, "https only"),
        (403, "AuthorizationSourceIPMismatch", AccessDeniedError, "sip="),
        (403, "AuthorizationServiceMismatch", AccessDeniedError, "ss=b"),
        (403, "AuthorizationResourceTypeMismatch", AccessDeniedError, "srt=co"),
        (403, "KeyBasedAuthenticationNotPermitted", AccessDeniedError, "azure-identity"),
        (403, "AccountIsDisabled", AccessDeniedError, "disabled"),
        (401, "NoAuthenticationInformation", AccessDeniedError, "credential"),
        (401, "InvalidAuthenticationInfo", AccessDeniedError, "tenant"),
        (409, "PublicAccessNotPermitted", AccessDeniedError, "without a credential"),
        (404, "ContainerNotFound", BackendUnavailableError, "create_container=true"),
        (409, "ContainerBeingDeleted", BackendUnavailableError, "wait a minute"),
        (409, "ContainerDisabled", BackendUnavailableError, "administrator"),
        (409, "AccountBeingCreated", BackendUnavailableError, "being created"),
        (503, "ServerBusy", BackendUnavailableError, "throttles"),
        (429, "TooManyRequests", BackendUnavailableError, "throttles"),
        (429, "", BackendUnavailableError, "throttles"),
        (500, "OperationTimedOut", BackendUnavailableError, "busy"),
        (507, "", NoSpaceError, "the account is full"),
        (400, "InvalidUri", BackendUnavailableError, "$root"),
        (412, "LeaseIdMissing", AccessDeniedError, "lease"),
        (409, "BlobArchived", AccessDeniedError, "rehydrate"),
        (404, "", BackendUnavailableError, "not an answer of Blob Storage"),
        (407, "", BackendUnavailableError, "the proxy wants a name and a password"),
    ],
)
def test_an_answer_says_what_to_do(status: int, code: str, kind: type[DriverError], words: str) -> None:
    """Each refusal of the service is the contract's error, and says its meaning before the service's own code."""
    error = failure(transport=Answering(status, code), retries=0)
    assert type(error) is kind
    assert words in str(error)
    assert f"{code} HTTP {status}".strip() in str(error)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("se=2020-01-02T03:04:05Z&sp=racwdl", "the SAS token expired on 2020-01-02 03:04 UTC"),
        ("se=2020-01-02&sp=racwdl", "the SAS token expired on 2020-01-02 00:00 UTC"),
        ("st=2999-01-02T03:04:05Z&se=2999-02-02&sp=racwdl", "not valid before 2999-01-02 03:04 UTC"),
        ("se=2999-01-02&sp=rl", "allows 'rl', and a store needs 'racwdl'"),
        ("se=2999-01-02&sp=racwdl", "Storage Blob Data Contributor"),
        ("se=secret-signature&sp=secret-signature", "Storage Blob Data Contributor"),
    ],
)
def test_a_refused_signature_is_explained_by_its_times_and_rights(more: str, words: str) -> None:
    """An expired token, one of the future and one that allows too little have messages of their own."""
    error = failure(transport=Answering(403, "AuthorizationPermissionMismatch"), sas_token=f"{SAS}&{more}", retries=0)
    assert isinstance(error, AccessDeniedError)
    assert words in str(error)


def test_a_clock_that_is_off_is_named() -> None:
    """If the service's clock and this machine's are apart, the message names the clock, not the key."""
    date = format_datetime(datetime.now(UTC) - timedelta(hours=2, minutes=1), usegmt=True)
    error = failure(transport=Answering(403, "AuthenticationFailed", Date=date), retries=0)
    assert isinstance(error, AccessDeniedError)
    assert "clock is off by 121 minutes" in str(error)


def test_a_token_that_nobody_gives_is_a_refusal(no_wait: list[float]) -> None:
    """If no identity is found, the message names other ways at once, and shows nothing of the SDK's text."""

    class Nobody:
        def get_token(self, *_: object, **__: object) -> None:
            raise ClientAuthenticationError(f"no identity\n{KEY}")

    error = failure(credential=Nobody(), transport=Answering(500, ""))
    assert isinstance(error, AccessDeniedError)
    assert no_wait == []
    assert "az login" in str(error)
    assert "account_key" in str(error)


def test_a_refusal_of_entra_is_named_by_its_number() -> None:
    """A refusal of Microsoft Entra has a number that can be looked up."""

    class Refused:
        def get_token(self, *_: object, **__: object) -> None:
            raise ClientAuthenticationError(f"AADSTS7000215: Invalid client secret {KEY}")

    error = failure(credential=Refused(), retries=0, transport=Answering(500, ""))
    assert isinstance(error, AccessDeniedError)
    assert "AADSTS7000215" in str(error)


def test_without_azure_identity_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no credential is given, and the package that may find one is missing, the message has the command."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(DriverLoadError, match=r"pip install 'layerstore\[azure\]'"):
        layerstore.open_driver("azure://acme/layers")
    layerstore.open_driver("azure://acme/layers", account_key=KEY).close()


def test_without_any_credential_the_command_ends_in_one_line() -> None:
    """If no logging is set up, the page that azure-identity logs about each credential is not printed."""
    away = {"AZURE_CONFIG_DIR": "/nowhere", "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "PATH": "/nowhere"}
    command = [
        sys.executable,
        "-m",
        "layerstore",
        "layers",
        "--store",
        "azure://acme/layers?endpoint=https://h.invalid",
    ]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **away}, check=False, timeout=120)
    (message,) = done.stderr.decode().splitlines()
    assert "access denied" in message
    assert "az login" in message


@pytest.mark.parametrize(
    ("permission", "hours", "words"), [("r", 1, "a store needs 'racwdl'"), ("racwdl", -1, "expired on")]
)
def test_a_signature_that_azurite_refuses_is_explained(
    azurite: Azurite, permission: str, hours: int, words: str
) -> None:
    """A real refusal, for a missing right or for a time that is over, says what to do."""
    account = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, "messages", account) as container:
        container.create_container()
        end, start = datetime.now(UTC) + timedelta(hours=hours), datetime.now(UTC) - timedelta(days=2)
        token = generate_container_sas(
            "devstoreaccount1", "messages", EMULATOR_KEY, permission=permission, expiry=end, start=start
        )
        with pytest.raises(AccessDeniedError, match=words):
            layerstore.open_driver(azurite.url("messages"), sas_token=token).put("key", b"data")
        container.delete_container()
