"""A small convolutional network for 28 by 28 digits, and running it over many of them."""

from collections.abc import Sequence

import torch
from torch import nn


class ConvNet(nn.Module):
    """Blocks of convolution, ReLU and max pooling; dropout; one linear layer.

    Every argument has a JSON type, so an artifact's metadata can rebuild the network:
    `ConvNet(**artifact.metadata)`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int] = (1, 28, 28),
        channels: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        pool_size: int = 2,
        dropout: float = 0.25,
        classes: int = 10,
    ) -> None:
        """Build the network with torch's usual random weights.

        Args:
            image_shape: channels, height and width of one image.
            channels: output channels of each block.
            kernel_size: side of the square kernels, in pixels; odd, borders are padded.
            pool_size: by how much each block divides height and width.
            dropout: share of the features that training drops before the linear layer.
            classes: number of labels to tell apart.
        """
        super().__init__()
        depth, height, width = image_shape
        blocks: list[nn.Module] = []
        for filters in channels:
            convolution = nn.Conv2d(depth, filters, kernel_size, padding=kernel_size // 2)
            blocks += [convolution, nn.ReLU(), nn.MaxPool2d(pool_size)]
            depth, height, width = filters, height // pool_size, width // pool_size
        self.features = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(depth * height * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map float32 images (n, channels, height, width) to logits (n, classes)."""
        logits: torch.Tensor = self.classifier(self.dropout(self.features(images).flatten(1)))
        return logits


def predict(model: ConvNet, images: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Return the logits (n, classes) of images (n, channels, height, width), on the CPU.

    The model is left in evaluation mode: whoever goes on training calls `model.train()`.
    """
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)])


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of rows, 0 to 1, whose largest logit is at the label."""
    return (logits.argmax(dim=1) == labels).sum().item() / len(labels)


def weights(model: ConvNet) -> dict[str, torch.Tensor]:
    """Return the state dict as CPU tensors, loadable on a machine without this one's device."""
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}
