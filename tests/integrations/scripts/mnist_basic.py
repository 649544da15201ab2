"""MNIST in plain PyTorch with metrics, examples and the saved model in W&B; the import can't be edited."""

import argparse
import gzip
from pathlib import Path

import torch
import torch.nn.functional as F
import wandb
from torch import nn, optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(8 * 12 * 12, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv(x), 2))
        return F.log_softmax(self.fc(self.dropout(x.flatten(1))), dim=1)


def read(folder, part):
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(-1, 1, 28, 28).float() / 255
    return images, torch.frombuffer(bytearray(labels), dtype=torch.uint8).long()


def train(args, model, data, optimizer, epoch):
    model.train()
    for batch, (x, y) in enumerate(zip(*(part.split(args.batch_size) for part in data), strict=True)):
        optimizer.zero_grad()
        loss = F.nll_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if batch % args.log_interval == 0:
            wandb.log({"epoch": epoch, "Train Loss": loss.detach()})


def test(model, data):
    model.eval()
    x, y = data
    with torch.no_grad():
        output = model(x)
    pred = output.argmax(dim=1)
    wrong = (pred != y).nonzero().flatten()[:4]
    wandb.log(
        {
            "Examples": [wandb.Image(x[i], caption=f"Pred: {pred[i].item()} Truth: {y[i]}") for i in wrong],
            "Test Accuracy": 100.0 * (pred == y).float().mean(),
            "Test Loss": F.nll_loss(output, y),
        }
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--log-interval", type=int, default=10)
    args = parser.parse_args()
    wandb.init(project="pytorch-mnist", config=args, tags=["baseline"])
    wandb.config.update({"train_size": 1000})
    config = wandb.config
    torch.manual_seed(config.seed)
    model = Net()
    wandb.watch(model)
    optimizer = optim.SGD(model.parameters(), lr=config.lr)
    training = tuple(part[: config.train_size] for part in read(args.data, "train"))
    testing = read(args.data, "t10k")
    for epoch in range(1, config.epochs + 1):
        train(args, model, training, optimizer, epoch)
        test(model, testing)
    torch.save(model.state_dict(), "mnist_cnn.pt")
    wandb.save("mnist_cnn.pt")
    print(wandb.run.name, wandb.run.id)


if __name__ == "__main__":
    main()
