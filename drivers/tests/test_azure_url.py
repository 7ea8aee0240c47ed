"""Azure URLs: the endpoint and the credential that they lead to."""

from collections.abc import Mapping

import pytest

from layerstore import InvalidURLError, StoreURL, UnknownOptionError, open_driver
from layerstore_drivers.azure.credentials import EMULATOR_KEY, Access, find_access
from layerstore_drivers.azure.options import Address

KEY = "c2VjcmV0LWtleQ=="
OTHER = "b3RoZXIta2V5"
SAS = "sv=2024-11-04&sig=secret-signature"
EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"


def access(url: str, environment: Mapping[str, str] | None = None, **options: object) -> Access:
    """Find out how a driver of this URL would speak to its account."""
    parsed = StoreURL.parse(url)
    return find_access(parsed, Address.of(parsed), options, environment or {})


def string(account: str, key: str = KEY, **more: str) -> str:
    """Return a connection string."""
    parts = {"DefaultEndpointsProtocol": "https", "AccountName": account, "AccountKey": key, **more}
    return ";".join(f"{name}={value}" for name, value in parts.items())


@pytest.mark.parametrize(
    ("url", "account", "container", "prefix"),
    [
        ("azure://acme/layers", "acme", "layers", ""),
        ("azure://acme/layers/", "acme", "layers", ""),
        ("azure://acme/layers/some/prefix", "acme", "layers", "some/prefix/"),
        ("azure+emulator://layers", "devstoreaccount1", "layers", ""),
        ("azure+emulator://layers/some/prefix/", "devstoreaccount1", "layers", "some/prefix/"),
    ],
)
def test_a_url_names_account_container_and_prefix(url: str, account: str, container: str, prefix: str) -> None:
    """The parts of a URL are where the documentation says."""
    assert Address.of(StoreURL.parse(url)) == Address(account, container, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "azure://acme",
        "azure:///acme/layers",
        "azure:acme/layers",
        "azure://ac/layers",
        "azure://ACME/layers",
        "azure://acme:443/layers",
        "azure://acme/l",
        "azure://acme/Layers",
        "azure://acme/a--b",
        "azure://acme/layers/a//b",
        "azure://acme/layers/.hidden",
        "azure+emulator:layers",
        "azure+emulator:///layers",
    ],
)
def test_a_url_that_names_no_container_is_refused(url: str) -> None:
    """An invalid name of an account, container or prefix is refused when the URL is opened."""
    with pytest.raises(InvalidURLError):
        open_driver(url)


def test_a_key_is_taken_from_the_options() -> None:
    """An account key beside the URL counts, whatever the environment holds."""
    found = access("azure://acme/layers", {"AZURE_STORAGE_KEY": OTHER}, account_key=KEY)
    assert (found.endpoint, found.account_key) == ("https://acme.blob.core.windows.net", KEY)


@pytest.mark.parametrize("name", ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"])
def test_a_key_is_taken_from_the_environment(name: str) -> None:
    """Without options the variables of Azure's own tools count."""
    assert access("azure://acme/layers", {name: KEY}).account_key == KEY


def test_a_signature_is_taken_from_options_and_environment() -> None:
    """A shared access signature may begin with a question mark, as portals show it."""
    assert access("azure://acme/layers", sas_token=f"?{SAS}").sas_token == SAS
    assert access("azure://acme/layers", {"AZURE_STORAGE_SAS_TOKEN": SAS}).sas_token == SAS


def test_a_connection_string_names_the_endpoint() -> None:
    """With AZURE_STORAGE_CONNECTION_STRING of the emulator, its account is where that says."""
    connection = string("devstoreaccount1", BlobEndpoint="http://azurite:10000/devstoreaccount1")
    found = access("azure://devstoreaccount1/layers", {"AZURE_STORAGE_CONNECTION_STRING": connection})
    assert (found.endpoint, found.account_key) == ("http://azurite:10000/devstoreaccount1", KEY)


def test_a_connection_string_may_hold_a_signature_and_a_suffix() -> None:
    """A signature in the place of a key, and another cloud's names, are understood."""
    signed = access(
        "azure://acme/layers", connection_string=f"BlobEndpoint=https://acme.blob.example/;SharedAccessSignature={SAS}"
    )
    assert (signed.endpoint, signed.sas_token) == ("https://acme.blob.example", SAS)
    china = access("azure://acme/layers", connection_string=string("acme", EndpointSuffix="core.chinacloudapi.cn"))
    assert china.endpoint == "https://acme.blob.core.chinacloudapi.cn"


def test_another_accounts_credentials_are_sent_nowhere() -> None:
    """Variables of another account are left alone: its key must not go to this one's endpoint."""
    environment = {"AZURE_STORAGE_CONNECTION_STRING": string("other", OTHER), "AZURE_STORAGE_ACCOUNT": "other"}
    found = access("azure://acme/layers", {**environment, "AZURE_STORAGE_KEY": OTHER}, credential=object())
    assert found.account_key == ""
    found = access("azure+emulator://layers", {**environment, "AZURE_STORAGE_KEY": OTHER})
    assert (found.endpoint, found.account_key) == (EMULATOR, EMULATOR_KEY)


def test_another_accounts_connection_string_is_refused_as_an_option() -> None:
    """An option with a connection string of another account is refused, by a message without its key."""
    with pytest.raises(InvalidURLError, match="another account") as refusal:
        access("azure://acme/layers", connection_string=string("other", OTHER))
    assert OTHER not in f"{refusal.value} {refusal.value!r}"


def test_development_storage_is_the_emulator() -> None:
    """The connection string that Azure's tools take for the emulator is taken here."""
    found = access("azure://devstoreaccount1/layers", connection_string="UseDevelopmentStorage=true")
    assert (found.endpoint, found.account_key) == (EMULATOR, EMULATOR_KEY)


def test_the_emulator_needs_neither_endpoint_nor_key() -> None:
    """The emulator is at its well-known port, with its well-known key; elsewhere, if an option says so."""
    assert access("azure+emulator://layers").endpoint == EMULATOR
    assert access("azure+emulator://layers", endpoint="http://h:1/devstoreaccount1/").endpoint == EMULATOR.replace(
        "127.0.0.1:10000", "h:1"
    )


def test_a_token_credential_is_used_as_it_is() -> None:
    """A credential object counts before the environment."""
    credential = object()
    assert access("azure://acme/layers", {"AZURE_STORAGE_KEY": KEY}, credential=credential).credential is credential


def test_without_anything_the_default_credential_is_used() -> None:
    """Without a credential azure-identity looks for one, when it is needed."""
    assert type(access("azure://acme/layers").credential).__name__ == "DefaultAzureCredential"


@pytest.mark.parametrize("text", ["nonsense", "AccountName=acme;nonsense-secret", "=x"])
def test_a_connection_string_that_is_none_is_refused_without_being_told(text: str) -> None:
    """A message never holds any of a connection string, for who knows which part is the secret."""
    with pytest.raises(InvalidURLError) as refusal:
        access("azure://acme/layers", connection_string=text)
    assert text.rpartition(";")[2] not in f"{refusal.value} {refusal.value!r}"


@pytest.mark.parametrize(
    "options", [{"create_container": "maybe"}, {"block_size": "0"}, {"concurrency": "x"}, {"endpoint": "no url"}]
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, str]) -> None:
    """A wrong value is refused when the store is opened."""
    with pytest.raises(InvalidURLError):
        open_driver("azure+emulator://layers", **options)


def test_an_unknown_option_is_told_the_known_ones() -> None:
    """The message about a misspelt option names the known ones."""
    with pytest.raises(UnknownOptionError, match="create_container"):
        open_driver("azure+emulator://layers", create_containers="true")


def test_the_environment_is_read_when_a_store_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables set after the import count."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string("acme", BlobEndpoint="http://127.0.0.1:9/acme"))
    driver = open_driver("azure://acme/layers")
    assert driver.inner._blobs.container.url == "http://127.0.0.1:9/acme/layers"  # type: ignore[attr-defined]  # Azure's


@pytest.mark.parametrize("secret", [KEY, SAS])
def test_no_repr_shows_a_credential(secret: str) -> None:
    """Output for debugging holds no key and no signature."""
    by_key = secret == KEY
    found = access("azure://acme/layers", account_key=KEY) if by_key else access("azure://acme/layers", sas_token=SAS)
    assert secret not in f"{found} {found!r}"
