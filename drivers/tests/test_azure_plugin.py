"""The Azure plugin: its SDK is imported when an azure URL is opened, and missed in one line."""

import subprocess
import sys


def run(code: str) -> str:
    """Run code in a fresh interpreter, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_other_stores_import_no_sdk() -> None:
    """Listing the drivers, importing the plugin and opening another store import nothing of Azure's."""
    code = """if True:
        import sys, layerstore, layerstore_drivers.azure
        from layerstore.registry import Registry
        assert "azure" in {driver.scheme for driver in Registry().drivers()}
        layerstore.open_driver("memory:").put("key", b"data")
        print([name for name in sys.modules if name.partition(".")[0] in {"azure", "requests"}])
    """
    assert run(code) == "[]"


def test_a_missing_sdk_is_told_in_one_line() -> None:
    """Without the extra, opening an azure URL says what to install."""
    code = """if True:
        import sys, layerstore
        sys.modules["azure.core"] = sys.modules["azure.storage.blob"] = None
        try:
            layerstore.open_driver("azure://acme/layers")
        except layerstore.DriverLoadError as error:
            print(error)
    """
    told = run(code)
    assert "pip install 'layerstore[azure]'" in told
    assert "\n" not in told


def test_opening_a_store_asks_nobody() -> None:
    """A store is opened without a connection, an import of azure-identity or a thread."""
    code = """if True:
        import sys, threading, layerstore
        layerstore.open_driver("azure+emulator://layers?endpoint=http://127.0.0.1:9/devstoreaccount1").close()
        print("azure.identity" in sys.modules, threading.active_count())
    """
    assert run(code) == "False 1"
