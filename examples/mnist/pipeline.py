"""Run the five steps in order: load-data, preprocess-data, initialize, train, report."""

import argparse
from collections.abc import Sequence

import initialize
import load_data
import options
import preprocess_data
import report
import train


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipeline.py", description=__doc__)
    options.add_project(parser)
    options.add_data(parser)
    options.add_seed(parser)
    options.add_training(parser)
    options.add_device(parser)
    chosen = parser.parse_args(argv)
    project = [f"--project={chosen.project}"]
    seed = [f"--seed={chosen.seed}"]
    device = [f"--device={chosen.device}"]
    source = [f"--data-dir={chosen.data_dir}"] if chosen.data_dir else []
    if chosen.sample:
        source.append("--sample")
    training = [
        f"--epochs={chosen.epochs}",
        f"--batch-size={chosen.batch_size}",
        f"--lr={chosen.lr}",
    ]
    load_data.main(project + source)
    preprocess_data.main(project)
    initialize.main(project + seed)
    train.main(project + seed + training + device)
    report.main(project + device)


if __name__ == "__main__":
    main()
