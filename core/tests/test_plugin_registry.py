"""Finding and opening drivers: metadata lists, one import opens, and a broken plugin concerns itself alone."""

import errno
import importlib.metadata
import itertools
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import CONTRACT_VERSION
from layerstore.errors import (
    BackendUnavailableError,
    ContractVersionError,
    DriverConflictError,
    DriverLoadError,
    FencedError,
    InvalidURLError,
    LayerStoreError,
    PluginError,
    UnknownDriverError,
    UnknownOptionError,
)
from layerstore.registry import DriverInfo, Registry, open_driver
from layerstore.url import StoreURL

PLUGIN = """
from layerstore.checked import CheckedDriver
from layerstore.driver import Capabilities, Driver
from layerstore.hookspecs import hookimpl

class TapeDriver(Driver):
    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=False, durable=False)
    options = {"speed": "Metres per second.", "key": "A credential."}
    opened = []
    failure = None

    @classmethod
    def open(cls, url, **options):
        cls.opened.append((url, options))
        if cls.failure:
            raise cls.failure
        return cls()

    open_reader = open_writer = put = stat = list = delete = lambda self, *args: None
    move = lambda self, source, target, *, version=None: None

@hookimpl
def layerstore_driver():
    return TapeDriver
"""
"""A plugin in order; the tests break it by replacing a line."""

VERSION_LINE = '    contract_version = "1.0"\n'

BROKEN = {
    "missing dependency": (("\nclass", "\nimport tape_sdk\nclass"), "ModuleNotFoundError: No module named 'tape_sdk'"),
    "syntax": (("class TapeDriver", "klass TapeDriver"), "SyntaxError: invalid syntax"),
    "raise at import": (("\nclass", "\nraise RuntimeError('no tape')\nclass"), "RuntimeError: no tape"),
    "exit at import": (("\nclass", "\nraise SystemExit(3)\nclass"), "SystemExit: 3"),
    "hook raises": (("return TapeDriver", "raise KeyError('drive')"), "KeyError: 'drive'"),
    "hook exits": (("return TapeDriver", "raise SystemExit('bye')"), "SystemExit: bye"),
    "hook takes arguments": (("layerstore_driver()", "layerstore_driver(url)"), "PluginValidationError: Plugin"),
    "hook misspelt": (("layerstore_driver()", "layerstore_drivers()"), "PluginValidationError: unknown hook"),
    "hook unmarked": (("@hookimpl", ""), " has no hook: a function layerstore_driver, marked @hookimpl"),
    "hook returns nothing": (("return TapeDriver", "return None"), "no Driver class, but an object of type NoneType"),
    "hook returns an object": (("return TapeDriver", "return TapeDriver()"), "but an object of type TapeDriver"),
    "hook returns a stranger": (("return TapeDriver", "return dict"), "no Driver class, but the class dict"),
    "methods missing": (
        ("put = stat = ", ""),
        "TapeDriver has no put, stat; methods that are not written yet may raise ",
    ),
    "a parameter too few": (
        ("@hookimpl", "TapeDriver.put = lambda self: None\n@hookimpl"),
        "TapeDriver.put cannot be called as put(self, key, data): too many positional arguments",
    ),
    "a parameter too many": (
        ("def open(cls, url,", "def open(cls, url, speed,"),
        "TapeDriver.open cannot be called as open(url, **options): missing a required argument: 'speed'",
    ),
    "no version to move": (
        ("target, *, version=None", "target"),
        "TapeDriver.move cannot be called as move(self, source, target, *, version=None): got an unexpected keyword",
    ),
    "open returns nothing": (
        ("return cls()", "cls()"),
        "TapeDriver.open returned no driver, but an object of type",
    ),
    "no capabilities": (("    capabilities = ", "    capability = "), "TapeDriver declares no capabilities: capa"),
    "capabilities of its own": (("Capabilities(nested", "dict(nested"), "TapeDriver declares no capabilities: cap"),
}

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put distributions on ``sys.path``, each with one plugin, and return the plugin's module name."""
    numbers = itertools.count()
    made: list[str] = []

    def make(name: str, scheme: str = "tape", source: str = PLUGIN, version: str = "1.2") -> str:
        site = tmp_path / f"site{next(numbers)}"
        made.append(f"plugin_of_{tmp_path.name}_{site.name}")
        metadata = site / f"{name}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[layerstore.drivers]\n{scheme} = {made[-1]}\n")
        (site / f"{made[-1]}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        return made[-1]

    yield make
    for module in made:
        sys.modules.pop(module, None)


def listed(scheme: str = "tape") -> list[DriverInfo]:
    """Return what the registry lists under a scheme; this environment may have drivers of its own under others."""
    return [info for info in Registry().drivers() if info.scheme == scheme]


def opened(driver: CheckedDriver) -> tuple[StoreURL, dict[str, object]]:
    """Return what the tape driver was last opened with."""
    last: tuple[StoreURL, dict[str, object]] = driver.inner.opened[-1]  # type: ignore[attr-defined]  # the fake's own
    return last


def metadata_of(module: str, name: str) -> Path:
    """Return the metadata directory beside an installed plugin."""
    [folder] = [Path(folder) / f"{name}.dist-info" for folder in sys.path if (Path(folder) / f"{module}.py").exists()]
    return folder


def test_listing_imports_nothing(install: Install) -> None:
    """A listing is metadata: the most broken plugin is listed, and none is imported."""
    module = install("Tape_Store", source="raise SystemExit")
    assert listed() == [DriverInfo("tape", "tape-store", "1.2", module)]
    assert module not in sys.modules


def test_what_is_installed_later_is_listed(install: Install) -> None:
    """The registry reads metadata when asked, and keeps nothing."""
    registry = Registry()
    before = registry.drivers()
    install("tape-store")
    assert len(registry.drivers()) == len(before) + 1


def test_the_listing_is_sorted_by_scheme_and_distribution(install: Install) -> None:
    """A listing does not depend on the order of ``sys.path``."""
    for name, scheme in [("b", "tape"), ("c", "tape"), ("a", "tape"), ("a", "disk")]:
        install(name, scheme)
    found = Registry().drivers()
    assert found == sorted(found, key=lambda info: (info.scheme, info.distribution))


def test_opening_imports_the_one_plugin(install: Install) -> None:
    """Of all the plugins installed, only the one of the URL's scheme is imported."""
    wanted, other = install("tape-store"), install("disk-store", "disk", "raise SystemExit")
    driver = open_driver("tape://drive/reel")
    assert type(driver) is CheckedDriver
    assert (driver.scheme, type(driver.inner).__module__) == ("tape", wanted)
    assert other not in sys.modules


def test_a_parsed_url_opens_as_its_text_does(install: Install) -> None:
    """``open_driver`` takes a URL in either form, and hands it to the driver parsed."""
    install("tape-store")
    url = StoreURL.parse("TAPE://drive/re%20el")
    assert opened(open_driver(url)) == opened(open_driver("TAPE://drive/re%20el")) == (url, {})


def test_an_entry_point_may_name_an_object_in_its_module(install: Install) -> None:
    """``module:object`` works as it does in any entry point."""
    hidden = PLUGIN.replace("@hookimpl", "class hooks:\n  @staticmethod\n  @hookimpl").replace(
        "def layer", "  def layer"
    )
    module = install("tape-store", source=hidden.replace("    return TapeDriver\n", "      return TapeDriver\n"))
    (metadata_of(module, "tape-store") / "entry_points.txt").write_text(
        f"[layerstore.drivers]\ntape = {module}:hooks\n"
    )
    assert Registry().load("tape").__module__ == module


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_breaks_only_itself(install: Install, change: tuple[str, str], message: str) -> None:
    """The error names scheme, distribution and reason, and the other plugins work."""
    install("disk-store", "disk")
    install("Tape.Store", source=PLUGIN.replace(*change))
    with pytest.raises(DriverLoadError) as caught:
        open_driver("tape:reel")
    assert str(caught.value).startswith("driver 'tape' of distribution tape-store does not load: ")
    assert message in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert open_driver("disk:").scheme == "disk"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (BROKEN["missing dependency"][0], ModuleNotFoundError),
        (BROKEN["exit at import"][0], SystemExit),
        (BROKEN["hook raises"][0], KeyError),
    ],
)
def test_what_broke_a_plugin_is_the_cause(
    install: Install, change: tuple[str, str], cause: type[BaseException]
) -> None:
    """The plugin's own traceback is shown below ours."""
    install("tape-store", source=PLUGIN.replace(*change))
    with pytest.raises(DriverLoadError) as caught:
        open_driver("tape:")
    assert type(caught.value.__cause__) is cause


def test_an_interrupt_is_no_fault_of_the_plugin(install: Install) -> None:
    """Ctrl-C during a slow import stops the program."""
    install("tape-store", source="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        open_driver("tape:")


def test_a_repaired_plugin_opens_without_a_restart(install: Install) -> None:
    """A failed import leaves nothing behind."""
    source = PLUGIN.replace("\nclass", "\nimport sys\nif sys.tape_is_out: raise OSError\nclass")
    install("tape-store", source=source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "tape_is_out", True, raising=False)
        with pytest.raises(DriverLoadError):
            open_driver("tape:")
        patch.setattr(sys, "tape_is_out", False)
        assert open_driver("tape:").scheme == "tape"


def test_two_distributions_of_one_scheme_are_an_error_that_names_both(install: Install) -> None:
    """Which of them is found first decides nothing; neither is imported."""
    modules = [install("tape-two"), install("tape-one", version="3")]
    assert listed() == [
        DriverInfo("tape", "tape-one", "3", modules[1], conflict=True),
        DriverInfo("tape", "tape-two", "1.2", modules[0], conflict=True),
    ]
    with pytest.raises(DriverConflictError, match="claimed by tape-one and tape-two") as caught:
        open_driver("tape:")
    assert pickle.loads(pickle.dumps(caught.value)).distributions == ("tape-one", "tape-two")
    assert not sys.modules.keys() & set(modules)


def test_a_conflict_leaves_other_schemes_alone(install: Install) -> None:
    """Only the scheme that is claimed twice is unusable."""
    for name, scheme in [("tape-one", "tape"), ("tape-two", "tape"), ("disk-store", "disk")]:
        install(name, scheme)
    assert not listed("disk")[0].conflict
    assert open_driver("disk:").scheme == "disk"


def test_layerstores_own_schemes_cannot_be_taken(install: Install) -> None:
    """Another distribution's claim to a built-in scheme is listed as shadowed and never imported."""
    own, taker = install("LayerStore", "memory"), install("evil", "memory")
    assert listed("memory") == [
        DriverInfo("memory", "evil", "1.2", taker, shadowed=True),
        DriverInfo("memory", "layerstore", "1.2", own),
    ]
    assert type(open_driver("memory:").inner).__module__ == own
    assert taker not in sys.modules


def test_who_takes_a_scheme_of_layerstores_own_is_told(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """Opening it says whose driver is ignored and what to do about it; opening another scheme says nothing."""
    install("layerstore", "memory")
    for name, scheme in [("evil", "Memory"), ("worse", "memory"), ("tape-store", "tape")]:
        install(name, scheme)
    open_driver("tape:")
    assert caplog.messages == []
    open_driver("memory:")
    [told] = caplog.messages
    assert told.startswith("scheme 'memory' is layerstore's own, and the driver of evil and worse for it is ignored: ")
    assert told.endswith("rename its entry point in layerstore.drivers, or uninstall it")
    assert [Registry().ignored(scheme) for scheme in ("memory", "tape", "reel")] == [told, "", ""]


def test_two_takers_of_an_own_scheme_do_not_conflict(install: Install) -> None:
    """A shadowed claim makes no conflict."""
    for name in ("evil", "layerstore", "worse"):
        install(name, "memory")
    assert [(info.conflict, info.shadowed) for info in listed("memory")] == [
        (False, True),
        (False, False),
        (False, True),
    ]
    assert open_driver("memory:").scheme == "memory"


def test_one_distribution_found_twice_is_no_conflict(install: Install) -> None:
    """An editable install beside a wheel's leftovers is one distribution: the first on ``sys.path``, as for imports."""
    install("tape.store", version="1.0", source="raise SystemExit")
    install("tape-gone", "reel")
    module = install("Tape_Store", version="1.1")
    assert listed() == [DriverInfo("tape", "tape-store", "1.1", module)]
    assert Registry().load("tape").__module__ == module


def test_a_scheme_the_newer_install_has_given_up_is_gone(install: Install) -> None:
    """Of a distribution found twice, the one further back counts for nothing, not even for schemes of its own."""
    install("tape-store", "reel")
    install("tape-store", "tape")
    assert listed("reel") == []


@pytest.mark.parametrize(
    ("scheme", "distribution"),
    [("tape", "tapes"), ("tape+lto", "ltos"), ("tape+dat", "tapes"), ("tape+lto+x", "tapes"), ("TAPE", "tapes")],
)
def test_a_scheme_with_a_plus_falls_back_on_the_part_before_it(
    install: Install, scheme: str, distribution: str
) -> None:
    """``tape+dat`` is the plugin ``tape``'s to understand, unless a plugin claims just that."""
    modules = {"tapes": install("tapes", "Tape"), "ltos": install("ltos", "tape+lto")}
    driver = open_driver(f"{scheme}://drive")
    assert type(driver.inner).__module__ == modules[distribution]
    assert driver.scheme == opened(driver)[0].scheme == scheme.lower()
    assert Registry().load(scheme).__module__ == modules[distribution]


def test_an_unknown_scheme_is_an_error_that_lists_the_known(install: Install) -> None:
    """A misspelt scheme shows what there is."""
    install("tape-store")
    install("disk-store", "disk")
    with pytest.raises(UnknownDriverError, match="no driver for scheme 'tap'") as caught:
        open_driver("tap:reel")
    assert {"disk", "tape"} <= set(caught.value.known)
    assert list(caught.value.known) == sorted(caught.value.known)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("taep", "did you mean 'tape'?"), ("zebra", "(reinstall it if you just added the entry point)")],
)
def test_an_unknown_scheme_is_an_error_with_what_to_do(install: Install, scheme: str, said: str) -> None:
    """For a misspelt scheme the message has a similar one; else it says how to install a driver."""
    install("tape-store")
    with pytest.raises(UnknownDriverError) as caught:
        open_driver(f"{scheme}:reel")
    assert str(caught.value).startswith(f"no driver for scheme {scheme!r}; installed: ")
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize("version", [CONTRACT_VERSION, "1.0", "1.3", "1.10"])
def test_a_driver_of_the_same_major_version_is_opened(install: Install, version: str) -> None:
    """Clause C1; a newer minor version too."""
    install("tape-store", source=PLUGIN.replace('"1.0"', repr(version)))
    assert open_driver("tape:").scheme == "tape"


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ('    contract_version = "2.0"\n', "2.0"),
        ('    contract_version = "0.9"\n', "0.9"),
        ('    contract_version = "11.0"\n', "11.0"),
        ('    contract_version = "1"\n', "1"),
        ('    contract_version = "1.0.0"\n', "1.0.0"),
        ('    contract_version = "1.0\\n"\n', "1.0\n"),
        ('    contract_version = "one"\n', "one"),
        ("    contract_version = None\n", "none"),
        ("    contract_version: str\n", "none"),
        ("", "none"),
    ],
)
def test_a_driver_of_another_contract_is_refused_before_it_is_opened(install: Install, line: str, version: str) -> None:
    """Both versions are named, and no method of the driver has run (clause C1)."""
    module = install("tape-store", source=PLUGIN.replace(VERSION_LINE, line))
    with pytest.raises(ContractVersionError) as caught:
        open_driver("tape:")
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.scheme, error.distribution, error.version, error.supported) == ("tape", "tape-store", version, "1.0")
    assert sys.modules[module].TapeDriver.opened == []


@pytest.mark.parametrize(
    ("version", "step"),
    [
        ("2.0", "upgrade layerstore, or install an older tape-store"),
        ("0.9", "upgrade tape-store, or install an older layerstore"),
        ("1", 'its class has to spell out contract_version = "1.0"'),
    ],
)
def test_a_driver_of_another_contract_is_refused_with_what_to_do(install: Install, version: str, step: str) -> None:
    """The message on two versions that do not fit says which of them to change."""
    install("tape-store", source=PLUGIN.replace('"1.0"', repr(version)))
    with pytest.raises(ContractVersionError) as caught:
        open_driver("tape:")
    assert str(caught.value).endswith(f"; this layerstore speaks 1.0: {step}")


def test_a_driver_of_another_contract_is_not_blamed_for_its_methods(install: Install) -> None:
    """A contract of another major version may have other methods: the version is what is wrong."""
    install("tape-store", source=PLUGIN.replace('"1.0"', '"2.0"').replace("put = ", ""))
    with pytest.raises(ContractVersionError):
        open_driver("tape:")


def test_layerstores_own_classes_vouch_for_no_version(install: Install) -> None:
    """A driver that derives from the front has not said what it was written for."""
    source = PLUGIN.replace(VERSION_LINE, "").replace("TapeDriver(Driver)", "TapeDriver(CheckedDriver)")
    install("tape-store", source=source)
    with pytest.raises(ContractVersionError, match="'none'"):
        open_driver("tape:")


def test_a_version_in_a_plugins_own_base_counts(install: Install) -> None:
    """A family of drivers spells its contract once."""
    base = f"class Base(Driver):\n{VERSION_LINE}\nclass TapeDriver(Base):"
    source = PLUGIN.replace(VERSION_LINE, "").replace("class TapeDriver(Driver):", base)
    install("tape-store", source=source)
    assert open_driver("tape:").scheme == "tape"


def test_options_come_from_the_url_and_from_keywords(install: Install) -> None:
    """The driver gets both together; one may even be called as a parameter of ours (clause O1)."""
    install("tape-store")
    driver = open_driver("tape:reel?key=abc+/==", speed=7)
    assert opened(driver)[1] == {"key": "abc+/==", "speed": 7}


@pytest.mark.parametrize(("url", "options"), [("tape:?spede=1", {}), ("tape:", {"spede": 1}), ("tape:", {"url": 1})])
def test_an_unknown_option_is_an_error_that_lists_the_known(
    install: Install, url: str, options: dict[str, Any]
) -> None:
    """A misspelt option is never ignored (clause O1)."""
    module = install("tape-store")
    with pytest.raises(UnknownOptionError, match="it has: key, speed") as caught:
        open_driver(url, **options)
    assert caught.value.option in {"spede", "url"}
    assert sys.modules[module].TapeDriver.opened == []


def test_an_option_given_twice_is_refused(install: Install) -> None:
    """Neither the URL nor the keyword wins in silence."""
    install("tape-store")
    with pytest.raises(InvalidURLError, match="option 'speed' is given in the URL and as an argument"):
        open_driver("tape:?speed=1", speed=1)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (OSError(errno.EIO, "torn"), BackendUnavailableError),
        (FencedError("reel"), FencedError),
        (InvalidURLError("tape:", "no drive"), InvalidURLError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_what_fails_in_open_is_named_or_left_alone(
    install: Install, failure: Exception, expected: type[Exception]
) -> None:
    """Failures of storage become driver errors with the scheme (clause E1); a driver's defect is not dressed up."""
    install("tape-store")
    Registry().load("tape").failure = failure  # type: ignore[attr-defined]  # the fake's own
    with pytest.raises(expected) as caught:
        open_driver("tape://drive/reel")
    assert getattr(caught.value, "driver", "tape") == "tape"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("tape://drive?key=hunter2&speed=2", {"speed": 1}),
        ("tape://drive?key=hunter2&spede=2", {}),
        ("tape://drive?key=hunter2", {}),
        ("tape://drive", {"key": "hunter2"}),
        ("tape://drive?key=hunter2#", {}),
        ("reel://drive?key=hunter2", {}),
    ],
)
def test_no_message_of_opening_holds_a_credential(install: Install, url: str, options: dict[str, Any]) -> None:
    """No failure on the way shows the options' values (clause E3)."""
    install("tape-store")
    Registry().load("tape").failure = OSError(errno.EIO, "torn")  # type: ignore[attr-defined]  # the fake's own
    with pytest.raises(LayerStoreError) as caught:
        open_driver(url, **options)
    assert "hunter2" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_a_distribution_with_unreadable_entry_points_is_left_out_and_logged(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    """One damaged installation does not hide the others."""
    module = install("broken-store")
    (metadata_of(module, "broken-store") / "entry_points.txt").write_bytes(b"\xff[")
    install("tape-store")
    with caplog.at_level(logging.WARNING):
        assert [info.distribution for info in listed()] == ["tape-store"]
    assert "no drivers read from broken-store" in caplog.text


@pytest.mark.parametrize("text", [b"", b"Name: \xff\nVersion: 1"])
def test_a_distribution_without_readable_metadata_is_listed_as_unknown(install: Install, text: bytes) -> None:
    """A damaged name keeps nobody from seeing that there is a claim."""
    module = install("tape-store")
    (metadata_of(module, "tape-store") / "METADATA").write_bytes(text)
    assert listed() == [DriverInfo("tape", "unknown", "unknown", module)]


def test_claims_can_be_given(install: Install) -> None:
    """A registry reads what it is told to, an entry point without a distribution too."""
    module = install("tape-store")
    entry = importlib.metadata.EntryPoint("own-tape", module, "layerstore.drivers")
    registry = Registry(lambda: [entry])
    assert registry.drivers() == [DriverInfo("own-tape", "unknown", "unknown", module)]
    assert registry.open("own-tape:").scheme == "own-tape"
    with pytest.raises(PluginError):
        registry.open("tape:")


def test_importing_layerstore_imports_what_it_needs() -> None:
    """The command line's libraries, an SDK and the reader of distributions' metadata come when they are asked for."""
    late = {"azure", "click", "fs", "importlib.metadata", "pytest", "rich", "ssl"}
    words = [sys.executable, "-c", "import layerstore, sys; print(*sys.modules)"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert not late & set(said.split())
