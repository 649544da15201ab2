"""Lets programs import torchvision where it does not fit torch, as the examples do; Lightning and transformers do it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "examples" / "mnist"))
import torch_support

torch_support.import_torchvision()
sys.path.pop()
