"""Step 3: make a network with random weights and log it as the artifact `convnet`."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import options
import torch
from model import ConvNet, weights
from torch_support import make_repeatable

import artvc

# The arguments of ConvNet; lists, not tuples, for they come back from the metadata as lists.
MODEL_CONFIG: dict[str, Any] = {
    "image_shape": [1, 28, 28],
    "channels": [32, 64],
    "kernel_size": 3,
    "pool_size": 2,
    "dropout": 0.25,
    "classes": 10,
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="initialize.py", description=__doc__)
    options.add_project(parser)
    options.add_seed(parser)
    chosen = parser.parse_args(argv)
    make_repeatable(chosen.seed)
    model = ConvNet(**MODEL_CONFIG)
    # The folder outlives the run, for a saved file may be read as late as the run's end.
    with (
        tempfile.TemporaryDirectory() as folder,
        artvc.init(
            project=chosen.project,
            job_type="initialize",
            config={**MODEL_CONFIG, "seed": chosen.seed},
        ) as run,
    ):
        convnet = artvc.Artifact(
            "convnet",
            type="model",
            description="A small convolutional network with random weights",
            metadata=MODEL_CONFIG,
        )
        path = Path(folder, "initialized_model.pth")
        # Saved through a handle: given a path, torch writes its stem into the file.
        with path.open("wb") as file:
            torch.save(weights(model), file)
        convnet.add_file(str(path))
        artvc.save(str(path))
        run.log_artifact(convnet)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    print(f"initialize: {parameters:,} parameters")


if __name__ == "__main__":
    main()
