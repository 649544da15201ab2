"""Step 4: train `convnet` on `mnist-preprocess`; every epoch is a version of `trained-model`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import options
import torch
from model import ConvNet, accuracy, predict, weights
from torch.nn.functional import cross_entropy
from torch_support import choose_device, make_repeatable

import artvc

BATCHES_PER_LOG = 25


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="train.py", description=__doc__)
    options.add_project(parser)
    options.add_seed(parser)
    options.add_training(parser)
    options.add_device(parser)
    chosen = parser.parse_args(argv)
    make_repeatable(chosen.seed)
    config = {
        "optimizer": "Adam",
        "learning_rate": chosen.lr,
        "batch_size": chosen.batch_size,
        "epochs": chosen.epochs,
        "seed": chosen.seed,
    }
    with artvc.init(project=chosen.project, job_type="train", config=config) as run:
        digits_dir = Path(run.use_artifact("mnist-preprocess:latest").download())
        convnet = run.use_artifact("convnet:latest")
        initial = Path(convnet.download(), "initialized_model.pth")
        run.config.update(convnet.metadata)
        model = ConvNet(**convnet.metadata)
        model.load_state_dict(torch.load(initial, weights_only=True))
        model.to(choose_device(chosen.device))
        training = torch.load(digits_dir / "training.pt", weights_only=True)
        validation = torch.load(digits_dir / "validation.pt", weights_only=True)
        fit(model, convnet.metadata, training, validation, run)


def fit(
    model: ConvNet,
    model_config: Mapping[str, object],
    training: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    run: "artvc.Run",
) -> None:
    """Train as the run's config says; log each epoch's weights, `best` on the most accurate.

    Images are float32 (n, 1, 28, 28), labels int64 (n,). Steps count training images seen.
    """
    config = run.config
    optimizer = getattr(torch.optim, config.optimizer)(model.parameters(), lr=config.learning_rate)
    shuffler = torch.Generator().manual_seed(config.seed)
    validation_images, validation_labels = validation
    best = -1.0
    for epoch in range(1, config.epochs + 1):
        train_epoch(model, optimizer, training, epoch=epoch, shuffler=shuffler)
        logits = predict(model, validation_images, config.batch_size)
        metrics = {
            "validation/loss": cross_entropy(logits, validation_labels).item(),
            "validation/accuracy": accuracy(logits, validation_labels),
        }
        artvc.log({"epoch": epoch, **metrics}, step=epoch * len(training[0]))
        improved = metrics["validation/accuracy"] > best
        if improved:
            best = metrics["validation/accuracy"]
            run.summary.update({"best_epoch": epoch, "best_validation_accuracy": best})
        run.log_artifact(
            checkpoint(model, {"model": dict(model_config), "epoch": epoch, **metrics}),
            aliases=["best"] if improved else None,
        )
        print(
            f"train: epoch {epoch}, validation accuracy {metrics['validation/accuracy']:.2%}, "
            f"loss {metrics['validation/loss']:.4f}{', best so far' if improved else ''}"
        )


def train_epoch(
    model: ConvNet,
    optimizer: torch.optim.Optimizer,
    training: tuple[torch.Tensor, torch.Tensor],
    *,
    epoch: int,
    shuffler: torch.Generator,
) -> None:
    """Take one optimizer step per batch, over all training images in a new order."""
    images, labels = training
    device = next(model.parameters()).device
    seen = (epoch - 1) * len(images)
    model.train()  # evaluation after the last epoch has switched dropout off
    batches = torch.randperm(len(images), generator=shuffler).split(artvc.config.batch_size)
    for number, rows in enumerate(batches):
        loss = cross_entropy(model(images[rows].to(device)), labels[rows].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(rows)
        if number % BATCHES_PER_LOG == 0:
            artvc.log({"epoch": epoch, "train/loss": loss.item()}, step=seen)


def checkpoint(model: ConvNet, metadata: dict[str, object]) -> artvc.Artifact:
    """Return a draft of `trained-model` that holds the weights as they are now."""
    artifact = artvc.Artifact(
        "trained-model",
        type="model",
        description="The network trained on MNIST, one version for each epoch",
        metadata=metadata,
    )
    with artifact.new_file("trained_model.pth", mode="wb") as file:
        torch.save(weights(model), file)
    return artifact


if __name__ == "__main__":
    main()
