"""Step 2: turn `mnist-raw` into what the network reads, the artifact `mnist-preprocess`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import options
import torch

import artvc

# The arguments of `preprocess`: they go into the metadata, so that a version says how it
# was made, and a change here makes another version.
STEPS: dict[str, Any] = {"dtype": "float32", "divide_by": 255, "channel_axis": 1}


def preprocess(images: torch.Tensor, *, dtype: str, divide_by: float, channel_axis: int) -> torch.Tensor:
    """Map uint8 images (n, 28, 28), 0 to 255, to (n, 1, 28, 28) of `dtype`, 0 to 1."""
    return (images.to(getattr(torch, dtype)) / divide_by).unsqueeze(channel_axis)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="preprocess_data.py", description=__doc__)
    options.add_project(parser)
    chosen = parser.parse_args(argv)
    with artvc.init(project=chosen.project, job_type="preprocess-data", config=STEPS) as run:
        raw_dir = Path(run.use_artifact("mnist-raw:latest").download())
        processed = artvc.Artifact(
            "mnist-preprocess",
            type="dataset",
            description="MNIST digits as float images with a channel dimension",
            metadata=STEPS,
        )
        for name in ("training", "validation", "test"):
            images, labels = torch.load(raw_dir / f"{name}.pt", weights_only=True)
            with processed.new_file(f"{name}.pt", mode="wb") as file:
                torch.save((preprocess(images, **STEPS), labels), file)
            print(f"preprocess-data: {name} {tuple(images.shape)}")
        run.log_artifact(processed)


if __name__ == "__main__":
    main()
