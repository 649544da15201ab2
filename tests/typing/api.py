"""The public surface as scripts use it: checked by mypy and pyright, never run."""

from pathlib import Path
from typing import Any, TextIO, assert_type

import artvc as wandb
from artvc import errors, shim
from artvc.sdk.api import ArtifactCollection, ArtifactType, Project
from artvc.sdk.artifact import Manifest, ManifestEntry
from artvc.sdk.config import Config
from artvc.sdk.listing import Listing
from artvc.sdk.logged_run import LoggedRun, RunFile, RunSummary
from artvc.sdk.summary import Summary


def runs() -> None:
    with wandb.init(
        project="p", job_type="train", config={"lr": 0.1}, tags=["a"], name="n", id="i", notes="", group="g",
        resume="allow", mode="offline", reinit=True, settings=None,
    ) as run:  # fmt: skip
        assert_type(run, wandb.Run)
        assert_type(run.config, Config)
        assert_type(run.summary, Summary)
        assert_type(run.id, str)
        assert_type(run.tags, tuple[str, ...])
        assert_type(run.step, int)
        run.log({"loss": 0.5}, step=3, commit=True)
        wandb.log({"loss": 0.5, "picture": wandb.Image("a.png", caption="a")})
        assert_type(wandb.save("*.pt"), list[str])
        assert_type(run.config.lr, Any)
        run.config.update({"epochs": 3}, allow_val_change=True)
        run.summary.update({"best": 1})
    assert_type(wandb.run, wandb.Run | None)
    assert_type(wandb.config, Config)
    wandb.finish(exit_code=0)


def module_functions() -> None:
    assert_type(wandb.login(key="secret"), bool)
    wandb.setup(settings=wandb.Settings(silent=True))
    wandb.require("core")
    wandb.define_metric("loss", step_metric="epoch", summary="min")
    wandb.watch(object(), log="gradients", log_freq=10)
    wandb.unwatch()
    wandb.alert("title", "text", level=wandb.AlertLevel.WARN, wait_duration=300)
    assert_type(wandb.restore("a.txt", "p/i", replace=True).read(), str)
    wandb.mark_preempting()
    wandb.termlog("a")
    wandb.termwarn("a")
    wandb.termerror("a")
    assert_type(wandb.util.generate_id(), str)
    wandb.join()
    wandb.teardown()


def artifacts(run: wandb.Run) -> None:
    artifact = wandb.Artifact("data", type="dataset", description="d", metadata={"a": 1})
    with artifact.new_file("a.txt", mode="w") as file:
        file.write("a")
    entry = artifact.add_file(Path("a.txt"), name="b.txt", overwrite=True)
    assert_type(entry, ManifestEntry)
    artifact.add_dir("folder", name="sub", merge=True)
    assert_type(artifact.add_reference("https://example.com/a", name="a"), list[ManifestEntry])
    logged = run.log_artifact(artifact, aliases=["best"], tags=["t"])
    assert_type(logged, wandb.Artifact)
    used = run.use_artifact("data:latest", type="dataset")
    assert_type(used.download(root=Path("here"), path_prefix="sub"), str)
    assert_type(used.file(), str)
    assert_type(used.manifest, Manifest)
    assert_type(used.get_entry("a.txt").size, int)
    assert_type(used.metadata, dict[str, Any])
    assert_type(used.aliases, list[str])
    assert_type(used.version, str)
    assert_type(used.new_draft(), wandb.Artifact)
    used.aliases.append("best")
    used.save()


def reading() -> None:
    api = wandb.Api()
    assert_type(api.artifact("data:v0", type="dataset"), wandb.Artifact)
    assert_type(api.artifact_exists("data:v0"), bool)
    assert_type(api.artifacts("dataset", "data", tags=["a"], order="-version_index"), Listing[wandb.Artifact])
    assert_type(api.artifact_types("p"), Listing[ArtifactType])
    assert_type(api.artifact_collections("p", "dataset"), Listing[ArtifactCollection])
    assert_type(api.artifact_collection("dataset", "data").aliases, list[str])
    assert_type(api.projects(), Listing[Project])
    found = api.runs("p", filters={"config.lr": {"$lt": 0.1}}, order="-created_at")
    assert_type(found, Listing[LoggedRun])
    assert_type(found[0], LoggedRun)
    assert_type(found[:2], list[LoggedRun])
    assert_type(len(found), int)
    for run in found:
        assert_type(run, LoggedRun)
        assert_type(run.config, dict[str, Any])
        assert_type(run.summary, RunSummary)
        assert_type(run.tags, list[str])
        assert_type(run.lastHistoryStep, int)
        assert_type(run.files(), Listing[RunFile])
        assert_type(run.used_artifacts(), Listing[wandb.Artifact])
        run.tags.append("x")
        run.name = "other"
        run.update()
        for row in run.scan_history(keys=["loss"], min_step=3):
            assert_type(row, dict[str, Any])
    with api.run("p/i").file("model.pt").download(replace=True) as file:
        assert_type(file.read(), str)


def failures() -> None:
    try:
        wandb.Api().artifact("missing")
    except wandb.errors.CommError as error:
        assert_type(error, errors.CommError)
        assert_type(error.hint, str | None)
    except wandb.Error as error:
        assert_type(error.message, str)
    shim.install()


def repositories() -> None:
    with wandb.Repo.open(".") as repo:
        assert_type(repo, wandb.Repo)
        assert_type(repo.files("data:v0"), list[str])


def more_of_runs(run: wandb.Run) -> None:
    assert_type(wandb.login(key="x"), bool)
    wandb.setup()
    wandb.require("core")
    wandb.define_metric("epoch")
    run.define_metric("val/*", step_metric="epoch", summary="min,max")
    wandb.watch(object(), log="all", log_freq=10)
    wandb.unwatch()
    wandb.alert("title", "text", level=wandb.AlertLevel.WARN, wait_duration=3)
    wandb.mark_preempting()
    assert_type(wandb.restore("model.pt"), TextIO)
    assert_type(wandb.util.generate_id(), str)
    wandb.termlog("a")
    wandb.termwarn("a")
    wandb.termerror("a")
    wandb.init(settings=wandb.Settings(console="off"), resume="allow", reinit="finish_previous")
    wandb.join()
    wandb.teardown()


def media(pixels: object) -> None:
    table = wandb.Table(columns=["id", "picture"], data=[[1, wandb.Image(pixels, caption="one")]])
    table.add_data(2, wandb.Image(pixels, masks={}, boxes={}, classes=wandb.Classes([{"id": 0, "name": "cat"}])))
    assert_type(table.columns, list[str | int])
    wandb.log(
        {
            "table": table,
            "histogram": wandb.Histogram([1.0, 2.0], num_bins=4),
            "html": wandb.Html("<b>bold</b>"),
            "sound": wandb.Audio("a.wav", caption="a"),
            "film": wandb.Video("a.mp4", fps=4),
            "points": wandb.Object3D("a.glb"),
            "molecule": wandb.Molecule("a.pdb"),
            "figure": wandb.Plotly({"data": []}),
            "line": wandb.plot.line(table, "id", "id", title="t"),
        }
    )
    assert_type(wandb.data_types.Table(), wandb.Table)


def models(run: wandb.Run, artifact: wandb.Artifact) -> None:
    assert_type(wandb.log_model("model.pt", name="net"), wandb.Artifact)
    assert_type(wandb.use_model("net:latest"), str)
    wandb.link_artifact(artifact, "registry/net", aliases=["best"])
    wandb.link_model("model.pt", "net")
    wandb.log_code(".")
    assert_type(wandb.upsert_artifact("part", name="shards", type="dataset", distributed_id="x"), wandb.Artifact)
    assert_type(wandb.finish_artifact("part", name="shards", type="dataset", distributed_id="x"), wandb.Artifact)
    artifact.ttl = wandb.ArtifactTTL.INHERIT


def names_beside(config: wandb.Config) -> None:
    assert_type(config.as_dict(), dict[str, Any])
    assert_type(wandb.env.is_offline(), bool)
    for kind in (wandb.CommError, wandb.UsageError):
        assert_type(kind("what").message, str)
