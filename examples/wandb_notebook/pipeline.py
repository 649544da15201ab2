"""A pipeline of five runs, as a notebook for Weights & Biases would have it; only the import is another.

The steps are those of W&B's notebook "Pipeline Versioning with W&B Artifacts": load-data, preprocess-data, initialize,
train, report.  The digits and the network are those of examples/mnist.

    python examples/wandb_notebook/pipeline.py --sample --epochs 1
"""

# %%
import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import artvc as wandb

sys.path.append(str(Path(__file__).resolve().parents[1] / "mnist"))
import data  # noqa: E402
from model import ConvNet, weights  # noqa: E402

PROJECT = "artifacts-example"
SPLITS = ("training", "validation", "test")


# %% Step 1: a dataset becomes an artifact
def load_and_log(mnist: data.Mnist) -> None:
    with wandb.init(project=PROJECT, job_type="load-data") as run:
        raw_data = wandb.Artifact(
            "mnist-raw",
            type="dataset",
            description="Raw MNIST, split into training, validation and test",
            metadata={"source": "torchvision.datasets.MNIST", "sizes": [len(mnist.splits[name][1]) for name in SPLITS]},
        )
        for name in SPLITS:
            with raw_data.new_file(name + ".pt", mode="wb") as file:
                torch.save(mnist.splits[name], file)
        run.log_artifact(raw_data)


# %% Step 2: what was used and what was made of it
def preprocess(images: torch.Tensor, *, normalize: bool = True, expand_dims: bool = True) -> torch.Tensor:
    """Map uint8 images (n, 28, 28) to float32 (n, 1, 28, 28), 0 to 1."""
    found = images.float() / 255 if normalize else images.float()
    return found.unsqueeze(1) if expand_dims else found


def preprocess_and_log(steps: dict[str, Any]) -> None:
    with wandb.init(project=PROJECT, job_type="preprocess-data") as run:
        processed_data = wandb.Artifact(
            "mnist-preprocess", type="dataset", description="Preprocessed MNIST", metadata=steps
        )
        raw_data_artifact = run.use_artifact("mnist-raw:latest")
        raw_dataset = raw_data_artifact.download()
        for name in SPLITS:
            images, labels = torch.load(os.path.join(raw_dataset, name + ".pt"))
            with processed_data.new_file(name + ".pt", mode="wb") as file:
                torch.save((preprocess(images, **steps), labels), file)
        run.log_artifact(processed_data)


# %% Step 3: a model, before anything was learned
def build_model_and_log(config: dict[str, Any]) -> None:
    with wandb.init(project=PROJECT, job_type="initialize", config=config) as run:
        config = wandb.config
        model = ConvNet(**config)
        model_artifact = wandb.Artifact(
            "convnet", type="model", description="A small convolutional network", metadata=dict(config)
        )
        torch.save(weights(model), "initialized_model.pth")
        model_artifact.add_file("initialized_model.pth")
        wandb.save("initialized_model.pth")
        run.log_artifact(model_artifact)


# %% Step 4: training, with metrics
def read(folder: str, name: str) -> TensorDataset:
    return TensorDataset(*torch.load(os.path.join(folder, name + ".pt")))


def train_log(loss: torch.Tensor, example_ct: int, epoch: int) -> None:
    wandb.log({"epoch": epoch, "train/loss": float(loss.detach())}, step=example_ct)


def test_log(loss: float, accuracy: float, example_ct: int, epoch: int) -> None:
    wandb.log({"epoch": epoch, "validation/loss": loss, "validation/accuracy": accuracy}, step=example_ct)


def test(model: ConvNet, loader: DataLoader[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean loss and the accuracy in percent, both tensors without axes."""
    model.eval()
    loss, correct, count = torch.tensor(0.0), torch.tensor(0.0), 0
    with torch.no_grad():
        for images, labels in loader:
            output = model(images)
            loss += cross_entropy(output, labels, reduction="sum")
            correct += (output.argmax(dim=1) == labels).sum()
            count += len(labels)
    return loss / count, 100.0 * correct / count


def train(model: ConvNet, train_loader: DataLoader[Any], valid_loader: DataLoader[Any], config: Any) -> None:
    optimizer = getattr(torch.optim, config.optimizer)(model.parameters())
    example_ct = 0
    for epoch in range(config.epochs):
        model.train()
        for batch_idx, (images, labels) in enumerate(train_loader):
            optimizer.zero_grad()
            loss = cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            example_ct += len(images)
            if batch_idx % config.batch_log_interval == 0:
                train_log(loss, example_ct, epoch)
        loss, accuracy = test(model, valid_loader)
        test_log(loss, accuracy, example_ct, epoch)


def train_and_log(config: dict[str, Any]) -> None:
    with wandb.init(project=PROJECT, job_type="train", config=config) as run:
        config = wandb.config
        folder = run.use_artifact("mnist-preprocess:latest").download()
        train_loader = DataLoader(read(folder, "training"), batch_size=config.batch_size)
        valid_loader = DataLoader(read(folder, "validation"), batch_size=config.batch_size)
        model_artifact = run.use_artifact("convnet:latest")
        model_path = os.path.join(model_artifact.download(), "initialized_model.pth")
        model_config = model_artifact.metadata
        config.update(model_config)
        model = ConvNet(**model_config)
        model.load_state_dict(torch.load(model_path))
        train(model, train_loader, valid_loader, config)
        model_artifact = wandb.Artifact(
            "trained-model", type="model", description="The trained network", metadata=dict(model_config)
        )
        torch.save(weights(model), "trained_model.pth")
        model_artifact.add_file("trained_model.pth")
        wandb.save("trained_model.pth")
        run.log_artifact(model_artifact)


# %% Step 5: how good it is, and what it finds hard
def hardest_examples(model: ConvNet, testing_set: TensorDataset, count: int = 32) -> list[tuple[Any, ...]]:
    """The examples of highest loss: image (1, 1, 28, 28), label, guess."""
    images, labels = testing_set.tensors
    with torch.no_grad():
        output = model(images)
    worst = cross_entropy(output, labels, reduction="none").argsort(descending=True)[:count]
    return [(images[place][None], labels[place], output[place].argmax()) for place in worst]


def evaluate_and_log() -> None:
    with wandb.init(project=PROJECT, job_type="report", config=None) as run:
        folder = run.use_artifact("mnist-preprocess:latest").download()
        testing_set = read(folder, "test")
        model_artifact = run.use_artifact("trained-model:latest")
        model = ConvNet(**model_artifact.metadata)
        model.load_state_dict(torch.load(os.path.join(model_artifact.download(), "trained_model.pth")))
        loss, accuracy = test(model, DataLoader(testing_set, batch_size=128))
        run.summary.update({"loss": loss, "accuracy": accuracy})
        wandb.log(
            {
                "high-loss-examples": [
                    wandb.Image(image, caption=f"{int(guess)},{int(label)}")
                    for image, label, guess in hardest_examples(model, testing_set)
                ]
            }
        )
        print(f"accuracy {float(accuracy):.2f} %, loss {float(loss):.4f}")


# %%
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipeline.py", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="the digits that are committed with the tests")
    parser.add_argument("--epochs", type=int, default=5)
    chosen = parser.parse_args(argv)
    torch.manual_seed(0)
    load_and_log(data.load_mnist(sample=chosen.sample))
    preprocess_and_log({"normalize": True, "expand_dims": True})
    build_model_and_log({"channels": [32, 64], "kernel_size": 3, "pool_size": 2, "dropout": 0.25, "classes": 10})
    train_and_log({"batch_size": 128, "epochs": chosen.epochs, "batch_log_interval": 25, "optimizer": "Adam"})
    evaluate_and_log()


if __name__ == "__main__":
    main()
