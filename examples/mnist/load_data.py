"""Step 1: find MNIST, split it, and log it as the artifact `mnist-raw`."""

import argparse
from collections.abc import Sequence

import data
import options
import torch

import artvc


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="load_data.py", description=__doc__)
    options.add_project(parser)
    options.add_data(parser)
    chosen = parser.parse_args(argv)
    try:
        mnist = data.load_mnist(chosen.data_dir, sample=chosen.sample)
    except data.MnistError as error:
        parser.exit(2, f"load-data: {error}\n")
    print(f"load-data: reading {mnist.origin}")
    log_raw(mnist, project=chosen.project)


def log_raw(mnist: data.Mnist, *, project: str) -> None:
    """Log a file for each split: a tuple of uint8 images (n, 28, 28) and int64 labels (n,)."""
    sizes = {name: len(labels) for name, (_, labels) in mnist.splits.items()}
    with artvc.init(project=project, job_type="load-data") as run:
        raw = artvc.Artifact(
            "mnist-raw",
            type="dataset",
            description="MNIST as published, split into training, validation and test digits",
            # Facts about the content only: the same digits from elsewhere are the same version.
            metadata={
                "source": "torchvision.datasets.MNIST",
                "complete": mnist.genuine,
                "sizes": sizes,
                "sha256": dict(mnist.sha256),
            },
        )
        for name, (images, labels) in mnist.splits.items():
            with raw.new_file(f"{name}.pt", mode="wb") as file:
                torch.save((images, labels), file)
        run.log_artifact(raw)
    print("load-data: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
