"""The command-line options that several steps share."""

import argparse
from pathlib import Path


def add_project(parser: argparse.ArgumentParser) -> None:
    """The project that the run and its artifacts belong to."""
    parser.add_argument("--project", default="mnist", help="default: %(default)s")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Where MNIST is."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder with the four MNIST files, in it or in its raw or MNIST/raw, gzipped or "
        "not (default: $MNIST_DIR, else a download, else the sample)",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="use the small sample of true digits that is committed with the tests",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """What makes the random numbers."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")


def add_training(parser: argparse.ArgumentParser) -> None:
    """How long and how fast to train."""
    parser.add_argument("--epochs", type=positive_int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--batch-size",
        type=positive_int,
        default=128,
        metavar="N",
        help="images per optimizer step (default: %(default)s)",
    )
    parser.add_argument(
        "--lr",
        type=float,
        default=0.001,
        metavar="RATE",
        help="learning rate of Adam (default: %(default)s)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where to compute."""
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, or auto: cuda where there is one (default: %(default)s)",
    )


def positive_int(text: str) -> int:
    """Parse an integer of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
