"""All but the PyFilesystem2 driver does without setuptools, and with whatever setuptools there is."""

import subprocess
import sys

CODE = """if True:
    import hashlib, importlib, importlib.util, pkgutil, sys

    import layerstore, layerstore_conformance, layerstore_drivers

    for package in (layerstore, layerstore_conformance, layerstore_drivers):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: 1 / 0):
            left_out = ["pyfilesystem."] + ([] if importlib.util.find_spec("boto3") else ["s3."])
            others = all(not module.name.startswith("layerstore_drivers." + name) for name in left_out)
            if others and "__main__" not in module.name:
                importlib.import_module(module.name)
    upload = layerstore.open("memory:").upload("demo/app")
    upload.write(b"a layer")
    layer = upload.finish("sha256:" + hashlib.sha256(b"a layer").hexdigest())
    assert layer.read() == b"a layer"
    print([name for name in ("setuptools", "pkg_resources", "fs") if name in sys.modules])
"""


def test_everything_else_is_imported_and_works_without_setuptools() -> None:
    """Every module but the bridge's own is imported, a layer uploaded, and nothing has asked for setuptools."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
