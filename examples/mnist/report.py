"""Step 5: test `trained-model:best`, and log how good it is and what it finds hardest."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import options
import torch
from model import ConvNet, accuracy, predict
from torch.nn.functional import cross_entropy
from torch_support import choose_device, make_repeatable

import artvc

HARDEST = 32
BATCH_SIZE = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The mean loss in nats, the accuracy from 0 to 1, and the k images of highest loss.

    `images` is float32 (k, 1, 28, 28), the worst first; `labels` and `guesses` are int64 (k,).
    """

    loss: float
    accuracy: float
    images: torch.Tensor
    labels: torch.Tensor
    guesses: torch.Tensor


def evaluate(model: ConvNet, images: torch.Tensor, labels: torch.Tensor, *, hardest: int = HARDEST) -> Evaluation:
    """Run the model over images (n, 1, 28, 28) and compare with labels (n,)."""
    logits = predict(model, images, BATCH_SIZE)
    losses = cross_entropy(logits, labels, reduction="none")
    worst = losses.argsort(descending=True, stable=True)[:hardest]
    return Evaluation(
        loss=losses.mean().item(),
        accuracy=accuracy(logits, labels),
        images=images[worst],
        labels=labels[worst],
        guesses=logits[worst].argmax(dim=1),
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    options.add_project(parser)
    options.add_device(parser)
    chosen = parser.parse_args(argv)
    make_repeatable(seed=0)  # nothing here is random; this picks repeatable algorithms
    with artvc.init(project=chosen.project, job_type="report") as run:
        digits_dir = Path(run.use_artifact("mnist-preprocess:latest").download())
        trained = run.use_artifact("trained-model:best")
        weights_file = Path(trained.download(), "trained_model.pth")
        model = ConvNet(**trained.metadata["model"])
        model.load_state_dict(torch.load(weights_file, weights_only=True))
        model.to(choose_device(chosen.device))
        images, labels = torch.load(digits_dir / "test.pt", weights_only=True)
        result = evaluate(model, images, labels)
        run.summary.update({"loss": result.loss, "accuracy": result.accuracy})
        examples = [
            artvc.Image(image, caption=f"read as {guess}, is {label}")
            for image, guess, label in zip(result.images, result.guesses.tolist(), result.labels.tolist(), strict=True)
        ]
        artvc.log({"loss": result.loss, "accuracy": result.accuracy, "hardest": examples})
    print(
        f"report: test accuracy {result.accuracy:.2%}, loss {result.loss:.4f}, "
        f"{len(labels):,} digits, epoch {trained.metadata['epoch']}"
    )


if __name__ == "__main__":
    main()
