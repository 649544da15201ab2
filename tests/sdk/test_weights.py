"""Checkpoints that a script logs are stored as differences to what they grew out of."""

import random
import struct
from pathlib import Path

import artvc
from artvc.sdk import workspace
from artvc.store.packs import Pack


def save(path: str, moved: float) -> None:
    draw = random.Random(1)
    header = b'{"w":{"dtype":"F32","shape":[60000],"data_offsets":[0,240000]}}'
    array = [draw.gauss(0, 0.02) + draw.gauss(0, moved) for _ in range(60_000)]
    Path(path).write_bytes(len(header).to_bytes(8, "little") + header + struct.pack("<60000f", *array))


def deltas() -> int:
    repo = workspace.find().repo
    found = 0
    for path in Path(repo.objects.packs).glob("*.pack"):
        pack = Pack.open(repo.disk, str(path))
        found += len(list(pack.bases()))
        pack.close()
    return found


def log(run: artvc.Run, name: str, **how: str) -> artvc.Artifact:
    artifact = artvc.Artifact(name, "model")
    if "into" in how:
        artifact.add_dir(how["source"], how["into"])
    else:
        artifact.add_file("model.safetensors")
    return run.log_artifact(artifact)


def test_the_checkpoints_of_a_run():
    with artvc.init(project="p") as run:
        for number in range(3):
            save("model.safetensors", number * 1e-6)
            log(run, "net")
    assert deltas() == 2
    for number in range(3):
        save("model.safetensors", number * 1e-6)
        restored = Path(artvc.Api().artifact(f"p/net:v{number}").download()) / "model.safetensors"
        assert restored.read_bytes() == Path("model.safetensors").read_bytes()


def test_a_fine_tuned_model_and_the_one_that_the_run_used():
    with artvc.init(project="p") as run:
        save("model.safetensors", 0)
        log(run, "base")
    with artvc.init(project="p") as run:
        run.use_artifact("base:latest")
        save("model.safetensors", 1e-6)
        log(run, "tuned")
    assert deltas() == 1


def test_a_directory_under_a_name():
    Path("out").mkdir()
    with artvc.init(project="p") as run:
        for number in range(2):
            save("out/model.safetensors", number * 1e-6)
            log(run, "net", source="out", into="weights")
    assert deltas() == 1
