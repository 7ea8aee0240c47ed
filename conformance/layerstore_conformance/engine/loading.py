"""Import every module of a package by name: a new scenario or defect needs no entry in a list.

The engine names the packages of scenarios and of defects, and does not import them: they depend on the engine.
"""

from __future__ import annotations

import importlib
import pkgutil


def load_all(package: str) -> None:
    """Import every module of a package and of its sub-packages, ordered by the last part of the module's name."""
    parent = importlib.import_module(package)
    modules = pkgutil.walk_packages(parent.__path__, f"{package}.")
    for name in sorted((module.name for module in modules), key=lambda name: name.rpartition(".")[2]):
        importlib.import_module(name)
