"""The example's modules, for the tests that need torch and torchvision."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist"


@pytest.fixture(scope="session")
def example() -> Callable[[str], ModuleType]:
    """Import a module of the example by its name; skip where torch or torchvision is missing.

    `pytest.importorskip` is not enough: a torchvision that doesn't fit its torch raises
    RuntimeError. The folder goes last in the path, so that its plain names hide nothing.
    """
    pytest.importorskip("torch")
    sys.path.append(str(EXAMPLE))
    try:
        importlib.import_module("torch_support").import_torchvision()
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return importlib.import_module
