"""The PyFilesystem2 plugin: fs is imported when a pyfs URL is opened, and missed in one line."""

import subprocess
import sys


def run(code: str) -> str:
    """Run code in a fresh interpreter, and return what it prints; nothing may be said beside it."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


def opened_without(*modules: str) -> str:
    """Return what opening a store says where these modules cannot be imported."""
    return run(f"""if True:
        import sys, layerstore
        sys.modules.update(dict.fromkeys({modules!r}))
        try:
            layerstore.open_driver("pyfs+mem:")
        except layerstore.DriverLoadError as error:
            print(error)
    """)


def test_other_stores_import_neither_fs_nor_setuptools() -> None:
    """Listing the drivers, importing the plugin and opening another store import nothing of PyFilesystem2's."""
    code = """if True:
        import sys, layerstore, layerstore_drivers.pyfilesystem
        from layerstore.registry import Registry
        assert "pyfs" in {driver.scheme for driver in Registry().drivers()}
        layerstore.open_driver("memory:").put("key", b"data")
        print([name for name in sys.modules if name.partition(".")[0] in {"fs", "pkg_resources", "setuptools"}])
    """
    assert run(code) == "[]"


def test_a_missing_extra_is_told_in_one_line() -> None:
    """Without the extra, opening a pyfs URL says what to install."""
    told = opened_without("fs")
    assert "pip install 'layerstore[pyfilesystem]'" in told
    assert "\n" not in told


def test_a_too_new_setuptools_is_told_in_one_line() -> None:
    """Without pkg_resources, opening a pyfs URL says which setuptools to install, and why."""
    told = opened_without("pkg_resources")
    assert "setuptools 82 removed" in told
    assert "pip install 'setuptools<82'" in told
    assert "\n" not in told


def test_another_module_that_is_missing_is_told_as_it_is() -> None:
    """What fs itself lacks is named, and no advice is given that would not help."""
    told = opened_without("six")
    assert "six" in told
    assert "pip install" not in told


def test_opening_a_store_says_nothing() -> None:
    """The warnings of setuptools and of fs are not passed on to whoever opens a store."""
    assert run("import layerstore; layerstore.open_driver('pyfs+mem:').put('key', b'')") == ""
