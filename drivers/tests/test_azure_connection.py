"""Which account, endpoint and credential a connection string, the variables and the options lead to."""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob import BlobServiceClient

import layerstore
from layerstore import InvalidURLError, StoreURL
from layerstore_drivers.azure import client
from layerstore_drivers.azure.credentials import EMULATOR_KEY, Access, find_access
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.options import SYSTEM, Address

KEY = "c2VjcmV0LWtleQ=="
OTHER = "b3RoZXIta2V5"
SAS = "sv=2024-11-04&sr=c&sp=racwdl&sig=secret-signature"
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
PLAIN = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


def access(environment: Mapping[str, str] | None = None, url: str = "azure://acme/layers", **options: Any) -> Access:  # noqa: ANN401  (the options')
    """Find out how a driver of this URL would speak to its account."""
    parsed = StoreURL.parse(url)
    return find_access(parsed, Address.of(parsed), options, environment or {})


def refusal(environment: Mapping[str, str] | None = None, **options: Any) -> str:  # noqa: ANN401  (as access)
    """Return the message of an open that is refused; it shows no secret."""
    with pytest.raises(InvalidURLError) as refused:
        access(environment, **options)
    error = refused.value
    shown = f"{error} {error!r} {error.__cause__!r}"
    assert error.__suppress_context__ or error.__context__ is None
    assert not re.search(r"(?i)secret|c2VjcmV0|b3RoZXI", shown), shown
    return str(error)


def both(text: str) -> tuple[Access, Access]:
    """Read a connection string as an option, and as a variable."""
    return access(connection_string=text), access({CONNECTION: text})


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"{PLAIN};",
        f"{PLAIN}\n",
        f"\r\n  {PLAIN};;\r\n",
        f'"{PLAIN}"',
        f"'{PLAIN}'\n",
        f"\ufeff{PLAIN}\n",
        f'\ufeff"{PLAIN};"\r\n',
        PLAIN.replace(";", " ; "),
        PLAIN.replace(";", ";\n"),
        PLAIN.replace("=https", " = https").replace("=acme", " = acme"),
        PLAIN.replace("AccountName", "accountname").replace("AccountKey", "ACCOUNTKEY"),
        PLAIN.replace("AccountName=acme", "AccountName=Acme"),
        f'AccountName=acme;AccountKey="{KEY}"',
        f"{PLAIN};QueueEndpoint=https://acme.queue.core.windows.net/;TableSecondaryEndpoint=https://t.example",
        f"{PLAIN};SomethingNew=1",
    ],
)
def test_a_connection_string_is_read_as_it_comes(text: str) -> None:
    """Names may be in any case; quotes, byte order marks, white space and line ends around a string change nothing."""
    for found in both(text):
        assert (found.endpoint, found.account_key) == ("https://acme.blob.core.windows.net", KEY)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (f"BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature={SAS}", "https://acme.blob.core.windows.net"),
        (f"BlobEndpoint=https://acme.z12.blob.storage.azure.net;SharedAccessSignature=?{SAS}", "https://acme.z12.blob.storage.azure.net"),
        (f"BlobEndpoint=https://acme.blob.core.windows.net/?{SAS}", "https://acme.blob.core.windows.net"),
        (f"BlobEndpoint=https://layers.example.com;SharedAccessSignature={SAS}", "https://layers.example.com"),
        (f"BlobEndpoint=acme.blob.core.windows.net;SharedAccessSignature={SAS}", "https://acme.blob.core.windows.net"),
        (f"BlobEndpoint=http://azurite:10000/acme;SharedAccessSignature={SAS}", "http://azurite:10000/acme"),
        (f"BlobEndpoint=http://[::1]:10000/acme;SharedAccessSignature={SAS}", "http://[::1]:10000/acme"),
    ],
)  # fmt: skip
def test_a_signature_comes_with_an_endpoint(text: str, endpoint: str) -> None:
    """A string without AccountName is of the account that its endpoint tells; a custom domain is taken at its word."""
    for found in both(text):
        assert (found.endpoint, found.sas_token) == (endpoint, SAS)


def test_an_endpoint_alone_is_completed_by_another_credential() -> None:
    """A connection string without a credential says where to go, and something else says as whom."""
    text = "BlobEndpoint=https://layers.example.com/"
    for found in (
        access(connection_string=text, account_key=KEY),
        access({"AZURE_STORAGE_KEY": KEY, CONNECTION: text}),
    ):
        assert (found.endpoint, found.account_key) == ("https://layers.example.com", KEY)


def test_a_custom_domain_in_a_variable_is_not_mixed_with_an_option() -> None:
    """A variable that tells no account does not say where a key goes that was given for this one."""
    text = f"BlobEndpoint=https://layers.example.com;SharedAccessSignature={SAS}"
    assert access({CONNECTION: text}, account_key=KEY).endpoint == "https://acme.blob.core.windows.net"
    assert access({CONNECTION: text, "AZURE_STORAGE_ACCOUNT": "other"}, credential=object()).sas_token == ""


def test_a_container_host_name_is_the_emulators() -> None:
    """An emulator that runs under the name of its container needs no AccountName."""
    text = f"BlobEndpoint=http://azurite:10000/devstoreaccount1;SharedAccessSignature={SAS}"
    found = access({CONNECTION: text}, "azure+emulator://layers")
    assert (found.endpoint, found.sas_token) == ("http://azurite:10000/devstoreaccount1", SAS)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("UseDevelopmentStorage=true", EMULATOR),
        ("usedevelopmentstorage=True;\n", EMULATOR),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
        ),
    ],
)
def test_development_storage_is_the_emulator(text: str, endpoint: str) -> None:
    """The short string of the emulator is read, and its proxy's place with it."""
    found = access({CONNECTION: text}, "azure+emulator://layers")
    assert (found.endpoint, found.account_key) == (endpoint, EMULATOR_KEY)
    assert "another account" in refusal(connection_string=text)


@pytest.mark.parametrize("suffix", ["core.chinacloudapi.cn", ".core.chinacloudapi.cn", "core.chinacloudapi.cn\n"])
def test_another_cloud_is_named_by_a_suffix(suffix: str) -> None:
    """A sovereign cloud's suffix comes in a connection string or a variable; the string's counts first."""
    expected = "https://acme.blob.core.chinacloudapi.cn"
    environment = {"AZURE_STORAGE_ENDPOINT_SUFFIX": suffix}
    assert access(environment, account_key=KEY).endpoint == expected
    assert access({**environment, "AZURE_STORAGE_KEY": KEY}).endpoint == expected
    string = f"AccountName=acme;AccountKey={KEY}"
    assert access(environment, connection_string=string).endpoint == expected
    assert access(connection_string=f"{string};EndpointSuffix={suffix}").endpoint == expected
    assert access(environment, connection_string=PLAIN).endpoint == "https://acme.blob.core.windows.net"
    assert access(environment, account_key=KEY, endpoint="https://h.example").endpoint == "https://h.example"


def test_a_suffix_that_is_none_is_refused_by_name() -> None:
    """A suffix that would lead nowhere names its variable."""
    message = refusal({"AZURE_STORAGE_ENDPOINT_SUFFIX": "https://TOPSECRET/"}, account_key=KEY)
    assert "AZURE_STORAGE_ENDPOINT_SUFFIX" in message


@pytest.mark.parametrize("name", ["account_key", "sas_token"])
def test_the_same_endpoints_are_found_as_by_the_sdk(name: str) -> None:
    """The driver finds the same endpoint in a connection string as the SDK does."""
    credential = f"AccountKey={KEY}" if name == "account_key" else f"SharedAccessSignature={SAS}"
    for more in (
        "",
        "EndpointSuffix=core.usgovcloudapi.net;",
        "DefaultEndpointsProtocol=http;EndpointSuffix=x.example;",
    ):
        text = f"AccountName=acme;{more}{credential}"
        sdk = BlobServiceClient.from_connection_string(text)
        assert access(connection_string=text).endpoint == sdk.primary_endpoint.partition("?")[0].rstrip("/")


MALFORMED = [
    "TOPSECRET",
    "TOPSECRET==",
    "=TOPSECRET",
    "TOPSECRET=1;TopSecret=2",
    f"AccountName=acme;{KEY}",
    f"AccountName=acme;AccountKey={KEY};AccountKey={OTHER}",
    f"AccountName=acme;AccountKey={KEY};accountkey={OTHER}",
    "AccountName=acme;AccountKey=",
    f"AccountName;AccountKey={KEY}",
    f"AccountKey={KEY}",
    "AccountName=acme;AccountKy=TOPSECRET",
    "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=TOPSECRET",
    f"AccountName=acme;AccountKey={KEY};DefaultEndpointsProtocol=ftp",
    f"AccountName=acme;AccountKey={KEY};BlobEndpoint=ftp://TOPSECRET",
    f"AccountName=acme;AccountKey={KEY};BlobEndpoint=https://user:TOPSECRET@h.example",
    f"AccountName=acme;AccountKey={KEY};BlobEndpoint=https://[TOPSECRET",
    f"AccountName=acme;AccountKey={KEY};BlobEndpoint=https://h:TOPSECRET",
    f"AccountName=acme;AccountKey={KEY};EndpointSuffix=TOP SECRET/",
    "AccountName=acme;AccountKey=TOPSECRET*",
    "AccountName=acme;AccountKey=TOPSECRET",
    f"AccountName=acme;AccountKey={KEY[:-1]}",
    "BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature=TOPSECRET",
    "BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature=https://h/?sig=TOPSECRET",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_connection_string_is_refused_by_its_name(text: str) -> None:
    """The option or the variable is named, nothing of the string is shown, and no other credential takes its place."""
    assert "option connection_string" in refusal(connection_string=text)
    others = {"AZURE_STORAGE_KEY": OTHER, "AZURE_STORAGE_SAS_TOKEN": SAS}
    assert f"variable {CONNECTION}" in refusal({CONNECTION: text, **others})
    assert f"variable {CONNECTION}" in refusal({CONNECTION: text}, endpoint="https://h.example")


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_variable_stops_no_open_that_was_given_a_credential(text: str) -> None:
    """With a credential as an option, malformed variables do not matter."""
    environment = {CONNECTION: text, "AZURE_STORAGE_KEY": "TOPSECRET*", "AZURE_STORAGE_SAS_TOKEN": "TOPSECRET"}
    assert access(environment, account_key=KEY).account_key == KEY
    assert access(environment, sas_token=SAS).sas_token == SAS
    assert access(environment, connection_string=PLAIN).account_key == KEY
    credential = object()
    assert access(environment, credential=credential).credential is credential


@pytest.mark.parametrize("key", ["TOPSECRET*", "TOPSECRET", "TOP SECRET", "größe"])
def test_a_key_that_is_not_base64_is_refused_by_its_name(key: str) -> None:
    """A malformed key is refused when the store is opened, and the option or variable that holds it is named."""
    assert "option account_key" in refusal(account_key=key)
    for name in ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"):
        assert f"variable {name}" in refusal({name: key, "AZURE_STORAGE_SAS_TOKEN": SAS})


@pytest.mark.parametrize("token", ["TOPSECRET", "sv=2024&sr=c", "https://acme.blob.core.windows.net/c?sig=TOPSECRET"])
def test_a_signature_that_is_none_is_refused_by_its_name(token: str) -> None:
    """A token that was cut off at the first &, as in a URL, is refused when the store is opened."""
    assert "option sas_token" in refusal(sas_token=token)
    assert "variable AZURE_STORAGE_SAS_TOKEN" in refusal({"AZURE_STORAGE_SAS_TOKEN": token})


@pytest.mark.parametrize("around", ["{}\n", '"{}"', "\ufeff{}", "  {} "])
def test_keys_and_signatures_are_read_as_they_come(around: str) -> None:
    """Quotes, byte order marks and white space around a key or a signature change nothing."""
    assert access(account_key=around.format(KEY)).account_key == KEY
    assert access({"AZURE_STORAGE_KEY": around.format(KEY)}).account_key == KEY
    assert access(sas_token=around.format(SAS)).sas_token == SAS


TWO: dict[str, Any] = {
    "connection_string": PLAIN,
    "account_key": OTHER,
    "sas_token": SAS,
    "credential": AzureSasCredential("sig=secret-signature-too"),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(TWO, 2)))
def test_two_options_that_differ_are_refused(one: str, other: str) -> None:
    """Two credentials that differ are refused, and both options are named."""
    message = refusal(**{name: TWO[name] for name in (one, other)})
    assert one in message
    assert other in message


def test_two_options_that_agree_are_taken() -> None:
    """The same key twice is no conflict, nor is an option that is None."""
    assert access(connection_string=PLAIN, account_key=f"{KEY}\n").account_key == KEY
    assert access(connection_string=PLAIN, account_key=None, sas_token=None).account_key == KEY
    text = f"AccountName=acme;AccountKey={KEY};BlobEndpoint=https://h.example/"
    assert access(connection_string=text, endpoint="https://h.example").endpoint == "https://h.example"


def test_two_endpoints_that_differ_are_refused() -> None:
    """An endpoint beside another one in the connection string is a mistake; beside a suffix it is the exception."""
    message = refusal(connection_string=f"{PLAIN};BlobEndpoint=https://h.example", endpoint="https://other.example")
    assert "endpoint" in message
    assert "connection_string" in message
    assert access(connection_string=PLAIN, endpoint="https://h.example").endpoint == "https://h.example"


@pytest.mark.parametrize("name", ["connection_string", "account_key", "sas_token", "endpoint"])
def test_an_empty_option_is_refused(name: str) -> None:
    """An option whose value got lost on the way does not make another credential count."""
    assert f"option {name} is empty" in refusal({"AZURE_STORAGE_KEY": KEY}, **{name: " "})


def test_an_empty_variable_is_none() -> None:
    """A variable that is set to nothing is as if it were not set."""
    empty = {CONNECTION: "", "AZURE_STORAGE_KEY": " ", "AZURE_STORAGE_ACCOUNT": "", "AZURE_STORAGE_ENDPOINT_SUFFIX": ""}
    assert access({**empty, "AZURE_STORAGE_ACCOUNT_KEY": KEY}).account_key == KEY


@pytest.mark.parametrize(
    "endpoint",
    ["https://h.example?sig=TOPSECRET", "https://u:TOPSECRET@h.example", "h.example", "https://a b", "ftp://h"],
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    """An endpoint is a scheme, a host and perhaps a path, and nothing else."""
    assert "option endpoint" in refusal(endpoint=endpoint, account_key=KEY)


def test_credential_objects_of_the_sdk_are_taken() -> None:
    """A key or a signature in an object of the SDK's can sign as any other; one of another account is refused."""
    assert access(credential=AzureNamedKeyCredential("acme", KEY)).account_key == KEY
    assert access(credential=AzureSasCredential(SAS)).sas_token == SAS
    assert "another account" in refusal(credential=AzureNamedKeyCredential("other", KEY))
    assert "account_key" in refusal(credential="TOPSECRET")


def test_a_token_is_not_sent_over_http() -> None:
    """The SDK sends tokens over https alone, and so the endpoint is refused when the store is opened."""
    assert "https" in refusal(credential=object(), endpoint="http://h.example")


def test_signatures_for_a_custom_domain_are_the_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is signed in the name of an identity names the account, which a custom domain does not tell."""

    class Identity:
        def get_token(self, *_: object, **__: object) -> None:
            """Give none."""

    signed: list[str] = []

    def sign(account: str, *_: object, **__: object) -> str:
        signed.append(account)
        return "sig=x"

    monkeypatch.setattr(client, "generate_blob_sas", sign)
    driver = layerstore.open_driver("azure://acme/layers", endpoint="https://h.example", credential=Identity())
    below: client.Signing = driver.inner._signing  # type: ignore[attr-defined]  # Azure's
    monkeypatch.setattr(below, "_delegated", lambda _: object())
    assert below.readable_url("key", client.LASTS) == "https://h.example/layers/key?sig=x"
    assert signed == ["acme"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c", "container name 'c' is too short: 3 to 63 characters"),
        ("ab", "container name 'ab' is too short: 3 to 63 characters"),
        ("a" * 64, "is too long: 3 to 63 characters"),
        ("Layers", "has the character 'L': a-z, 0-9 and - are allowed"),
        ("my_layers", "has the character '_'"),
        ("a--b", "has two hyphens in a row"),
        ("-ab", "begins or ends with a hyphen"),
        ("ab-", "begins or ends with a hyphen"),
        ("$layers", "is none of $root, $web, $logs, $blobchangefeed"),
        ("", "no container: azure://ACCOUNT/CONTAINER[/PREFIX]"),
    ],
)
def test_a_containers_name_that_breaks_a_rule_is_refused_by_that_rule(name: str, words: str) -> None:
    """The message states the rule of containers' names that was broken."""
    with pytest.raises(InvalidURLError) as refused:
        Address.of(StoreURL.parse(f"azure://acme/{name}"))
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a-b-c", "123", "0-0", *SYSTEM])
def test_every_container_that_the_service_allows_is_accepted(name: str) -> None:
    """Every name that the service allows is a container."""
    assert Address.of(StoreURL.parse(f"azure://acme/{name}/prefix")) == Address("acme", name, "prefix/")
    assert Address.of(StoreURL.parse(f"azure+emulator://{name}")).container == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ac", "account name 'ac' is too short: 3 to 24 characters"),
        ("a" * 25, "is too long: 3 to 24 characters"),
        ("ACME", "has the character 'A'"),
        ("acme.blob.core.windows.net", "is a host: give the name alone"),
    ],
)
def test_an_accounts_name_that_breaks_a_rule_is_refused_by_that_rule(name: str, words: str) -> None:
    """The message states the rule of accounts' names that was broken."""
    with pytest.raises(InvalidURLError) as refused:
        Address.of(StoreURL.parse(f"azure://{name}/layers"))
    assert words in str(refused.value)


@pytest.mark.xdist_group("azurite")
@pytest.mark.parametrize("container", ["$web", "abc", "a-1"])
def test_a_layer_is_stored_in_any_container(azurite: Azurite, container: str) -> None:
    """A container whose name is unusual is made and written to as any other."""
    driver = layerstore.open_driver(azurite.url(container, create_container="true"))
    driver.put("a/key", b"data")
    driver.move("a/key", "b/key")
    assert list(driver.list("")) == ["b/"]


@pytest.mark.xdist_group("azurite")
def test_a_connection_string_from_a_file_opens_a_store(azurite: Azurite, tmp_path: Path) -> None:
    """A string as an editor saves it, with a byte order mark and a newline, opens the emulator under its own name."""
    file = tmp_path / "connection"
    text = f"accountname=devstoreaccount1;accountkey={EMULATOR_KEY};blobendpoint={azurite.endpoint}/;\n"
    file.write_text(text, encoding="utf-8-sig")
    options = {"connection_string": file.read_text(encoding="utf-8"), "create_container": "true"}
    driver = layerstore.open_driver("azure://devstoreaccount1/from-a-file", **options)
    driver.put("key", b"data")
    driver.move("key", "moved")
    assert driver.get("moved", 10) == b"data"
