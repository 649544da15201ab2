"""Importing torchvision, choosing a device and making torch repeatable."""

import importlib
import os
import sys
from types import ModuleType

import torch

# The library must outlive the import: its schemas vanish with it.
_operator_schemas: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Import torchvision, also where its compiled operators cannot be loaded.

    A torchvision built for CUDA beside a CPU torch (an ordinary outcome of installing the
    two from different indexes) fails to load its operators silently, then raises
    RuntimeError because it describes `nms` and `qnms` without their being declared.
    Declaring them lets the import pass. Data sets, models and transforms then work; the
    operators themselves, which no example here calls, do not.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _operator_schemas.append(library)
    half_imported = [name for name in sys.modules if name.partition(".")[0] == "torchvision"]
    for name in half_imported:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def make_repeatable(seed: int) -> None:
    """Seed torch and forbid algorithms whose result depends on timing.

    The same seed on the same machine with the same number of threads then gives the same
    bits. cuBLAS reads its part from the environment when CUDA is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
