"""Finds what the package holds, so that a new file is tested the moment it exists.

A solver, constraint or metric is one file with one public class and an `example()`.
"""

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import minimax as mm


def modules(package: ModuleType) -> dict[str, ModuleType]:
    """The files of a sub-package that hold a method, a set or a certificate, by name."""
    names = (info.name for info in pkgutil.iter_modules(package.__path__))
    return {
        name: importlib.import_module(f"{package.__name__}.{name}")
        for name in names
        if name != "base" and not name.startswith("_")
    }


def examples(package: ModuleType) -> dict[str, Any]:
    """The `example` function of each file."""
    return {name: module.example for name, module in modules(package).items()}


def check_files(package: ModuleType, base: type) -> None:
    """Each file defines one public subclass of `base`, which `minimax` exports and of which its
    `example()` is an instance."""
    for module in modules(package).values():
        path = module.__name__.replace(".", "/") + ".py"
        classes = [
            each
            for each in vars(module).values()
            if inspect.isclass(each)
            and issubclass(each, base)
            and each.__module__ == module.__name__
            and not each.__name__.startswith("_")
        ]
        assert len(classes) == 1, f"{path} defines {classes}: expected one {base.__name__}"
        (cls,) = classes
        line = f"from {module.__name__} import {cls.__name__} as {cls.__name__}"
        assert getattr(mm, cls.__name__, None) is cls, f"add to minimax/__init__.py: {line}"
        assert hasattr(module, "example"), f"{path} has no example()"
        assert type(module.example()) is cls, f"example() in {path} gives no {cls.__name__}"
        assert cls.__doc__ and ">>>" in cls.__doc__, f"{cls.__name__} in {path} shows no use"
