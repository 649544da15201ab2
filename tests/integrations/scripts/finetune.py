"""A fine-tuning loop: a base model from an artifact, a frozen body, the best checkpoint kept, resumed when cut off."""

import os
import sys

import torch
import wandb
from torch import nn
from wandb.errors import CommError

EPOCHS = 4


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))


def base_model():
    """Log the base model, unless it is there."""
    with wandb.init(project="finetune", job_type="pretrain") as run:
        try:
            run.use_artifact("base:latest", type="model")
        except CommError:
            artifact = wandb.Artifact("base", type="model", metadata={"layers": (8, 16, 2)})
            with artifact.new_file("model.pt", mode="wb") as f:
                torch.save(build().state_dict(), f)
            run.log_artifact(artifact, aliases=["pretrained"])


def finetune(stop_after):
    run = wandb.init(project="finetune", job_type="finetune", id="tune-1", resume="allow", config={"lr": 0.05})
    base = run.use_artifact("base:pretrained")
    model = nn.Sequential(*build())
    start, best = 0, float("inf")
    if run.resumed:
        checkpoint = run.use_artifact(f"checkpoint-{run.id}:latest")
        state = torch.load(os.path.join(checkpoint.download(), "state.pt"))
        model.load_state_dict(state["model"])
        start, best = state["epoch"] + 1, state["best"]
    else:
        model.load_state_dict(torch.load(os.path.join(base.download(), "model.pt")))
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=run.config["lr"])
    x = torch.randn(64, 8)
    y = (x.sum(dim=1) > 0).long()
    for epoch in range(start, EPOCHS):
        for _ in range(10):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"train/loss": loss.item(), "epoch": epoch})
        improved = loss.item() < best
        best = min(best, loss.item())
        artifact = wandb.Artifact(f"checkpoint-{run.id}", type="model", metadata={"epoch": epoch, "loss": loss.item()})
        with artifact.new_file("state.pt", mode="wb") as f:
            torch.save({"model": model.state_dict(), "epoch": epoch, "best": best}, f)
        run.log_artifact(artifact, aliases=["best"] if improved else [])
        wandb.summary["best_loss"] = best
        if epoch == stop_after:
            raise RuntimeError("out of time")
    wandb.finish()


if __name__ == "__main__":
    base_model()
    finetune(int(sys.argv[1]) if len(sys.argv) > 1 else None)
