"""torch.distributed.checkpoint into artifacts and back, with the real library."""

import io
import json
import os
import textwrap

import pytest

import artvc
from artvc.errors import ArtifactNotLoggedError, Damaged, InvalidInput, NotFound
from artvc.sdk import workspace

torch = pytest.importorskip("torch", reason="torch is not installed")
dcp = pytest.importorskip("torch.distributed.checkpoint", reason="torch has no distributed checkpoints")
checkpoint = pytest.importorskip("artvc.integrations.checkpoint")
CheckpointException = dcp.api.CheckpointException

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def closed(desk):
    yield
    artvc.finish()
    workspace.close_all()
    workspace.forget_all()


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def save(state, **more):
    """Save a state as an artifact; returns the logged one."""
    artifact = artvc.Artifact("net", "model")
    dcp.save(state, storage_writer=checkpoint.ArtifactWriter(artifact), no_dist=True, **more)
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact)


def load(state, artifact, **more):
    dcp.load(state, storage_reader=checkpoint.ArtifactReader(artifact), no_dist=True, **more)
    return state


def failure(kind, act):
    """The error inside of DCP's own."""
    with pytest.raises(CheckpointException) as caught:
        act()
    ((error, _),) = caught.value.failures.values()
    assert isinstance(error, kind)
    return error


def test_a_model_and_its_optimizer_come_back_bit_for_bit():
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    artifact = save({"model": model.state_dict(), "optim": optimizer.state_dict(), "epoch": 3, "note": "good"})
    fresh = network(seed=1)
    other = torch.optim.AdamW(fresh.parameters(), lr=0.5)
    fresh(torch.ones(1, 8)).sum().backward()
    other.step()
    state = load({"model": fresh.state_dict(), "optim": other.state_dict(), "epoch": 0, "note": ""}, artifact)
    for name, tensor in model.state_dict().items():
        assert torch.equal(state["model"][name], tensor)
    assert torch.equal(state["optim"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert (state["epoch"], state["note"], state["optim"]["param_groups"][0]["lr"]) == (3, "good", 0.01)


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "int64", "int8", "uint8", "bool", "complex64", "float8_e4m3fn"],
)
def test_every_dtype_and_shape_comes_back(dtype):
    kind = getattr(torch, dtype)
    state = {
        "matrix": torch.arange(6).reshape(2, 3).to(kind),
        "scalar": torch.tensor(1).to(kind),
        "empty": torch.empty(0, 3).to(kind),
        "strided": torch.arange(12).reshape(3, 4).to(torch.float32).t().to(kind),
    }
    artifact = save(state)
    back = load({name: torch.zeros_like(tensor) for name, tensor in state.items()}, artifact)
    for name, tensor in state.items():
        assert torch.equal(back[name].to(torch.complex64), tensor.to(torch.complex64))


def test_a_file_holds_the_plain_bytes_of_a_tensor_and_nothing_is_a_pickle():
    artifact = save({"w": torch.arange(4, dtype=torch.int16)})
    assert sorted(artifact.manifest) == ["checkpoint.json", "tensors/w@0"]
    with artvc.Repo.open() as repo, repo.open_file("net:v0/tensors/w@0") as file:
        assert file.read() == bytes([0, 0, 1, 0, 2, 0, 3, 0])


def test_the_next_version_stores_only_the_tensors_that_changed():
    state = {"a": torch.randn(1000), "b": torch.randn(1000)}
    first = save(state)
    state["b"] += 1
    second = save(state)
    same = [path for path in first.manifest if first.manifest[path].digest == second.manifest[path].digest]
    assert same == ["checkpoint.json", "tensors/a@0"]
    assert second.version == "v1"


def test_odd_and_long_names_stay_apart():
    state = {
        "a/b": torch.ones(1),
        "a_b": torch.zeros(1),
        "..": torch.ones(2),
        "ü" * 300: torch.ones(3),
        "ü" * 299: torch.ones(4),
    }
    artifact = save(state)
    assert len(artifact.manifest) == 6
    back = load({name: torch.zeros_like(tensor) for name, tensor in state.items()}, artifact)
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_several_checkpoints_in_one_artifact_by_id():
    artifact = artvc.Artifact("net", "model")
    for step in (1, 2):
        writer = checkpoint.ArtifactWriter(artifact)
        dcp.save(
            {"w": torch.full((2,), float(step))}, checkpoint_id=f"step-{step}", storage_writer=writer, no_dist=True
        )
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    assert "step-1/checkpoint.json" in artifact.manifest
    assert load({"w": torch.zeros(2)}, artifact, checkpoint_id="step-2")["w"].tolist() == [2, 2]
    assert checkpoint.ArtifactReader.validate_checkpoint_id("step-1")
    assert not checkpoint.ArtifactReader.validate_checkpoint_id("../step-1")
    assert not checkpoint.ArtifactWriter.validate_checkpoint_id("/step-1")


class Trap:
    """Whoever unpickles this makes a file."""

    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_an_object_that_could_run_code_is_refused_when_it_is_saved():
    assert "'trap'" in str(failure(InvalidInput, lambda: save({"w": torch.ones(1), "trap": Trap()})))


def logged(files):
    """An artifact with some files, as somebody else may have made it."""
    artifact = artvc.Artifact("evil", "model")
    for path, data in files.items():
        with artifact.new_file(path, "wb") as file:
            file.write(data)
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact)


def test_an_object_that_could_run_code_is_not_loaded(desk):
    stream = io.BytesIO()
    torch.save(Trap(), stream)
    index = {"format": 1, "byteorder": "little", "tensors": {}, "objects": {"x": "objects/x.pt"}, "paths": {"x": ["x"]}}
    artifact = logged({"checkpoint.json": json.dumps(index).encode(), "objects/x.pt": stream.getvalue()})
    assert "could run code" in str(failure(InvalidInput, lambda: load({"x": 0}, artifact)))
    assert not (desk / "trapped").exists()


TENSOR = {
    "dtype": "float32",
    "requires_grad": False,
    "shape": [2],
    "shards": [{"file": "t", "offsets": [0], "shape": [2]}],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "load"}, "no dtype"),
        ({"dtype": 7}, "no dtype"),
        ({"shape": [1 << 60]}, "a size is"),
        ({"shape": [-2]}, "a size is"),
        ({"shape": [1] * 100}, "sizes are"),
        ({"shape": "22"}, "sizes are"),
        ({"shards": [{"file": "../t", "offsets": [0], "shape": [2]}]}, "path"),
        ({"shards": [{"file": "t", "offsets": [1], "shape": [2]}]}, "does not lie"),
        ({"shards": [{"file": "t", "offsets": [], "shape": [2]}]}, "does not lie"),
        ({"shards": 7}, "index"),
    ],
)
def test_a_malformed_index_is_damage_before_anything_is_allocated(change, said):
    index = {"format": 1, "byteorder": "little", "objects": {}, "paths": {}, "tensors": {"w": {**TENSOR, **change}}}
    artifact = logged({"checkpoint.json": json.dumps(index).encode(), "t": b"\0" * 8})
    with pytest.raises(Damaged, match=said):
        checkpoint.ArtifactReader(artifact).read_metadata()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"format": 2, "byteorder": "little"}'])
def test_what_is_no_index_is_damage(raw):
    with pytest.raises(Damaged, match="no index"):
        checkpoint.ArtifactReader(logged({"checkpoint.json": raw})).read_metadata()


def test_a_file_of_another_size_than_the_index_says_is_damage():
    index = {"format": 1, "byteorder": "little", "objects": {}, "paths": {"w": ["w"]}, "tensors": {"w": TENSOR}}
    artifact = logged({"checkpoint.json": json.dumps(index).encode(), "t": b"\0" * 7})
    assert "has 7 bytes" in str(failure(Damaged, lambda: load({"w": torch.zeros(2)}, artifact)))


def test_an_index_over_the_limit_is_not_read(monkeypatch):
    artifact = save({"w": torch.ones(1)})
    monkeypatch.setattr(checkpoint, "INDEX_BYTES", 10)
    with pytest.raises(Damaged, match="more than the 10"):
        checkpoint.ArtifactReader(artifact).read_metadata()


def test_an_artifact_without_a_checkpoint_is_not_found_and_a_draft_is_not_logged():
    with pytest.raises(NotFound, match=r"checkpoint\.json"):
        checkpoint.ArtifactReader(logged({"a": b""})).read_metadata()
    with pytest.raises(ArtifactNotLoggedError):
        checkpoint.ArtifactReader(artvc.Artifact("net", "model"))
    with pytest.raises(TypeError):
        checkpoint.ArtifactWriter("net")


RANKS = """
import os, sys
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
import artvc
from artvc.integrations.checkpoint import ArtifactReader, ArtifactWriter

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
whole = torch.arange(12.0).reshape(6, 2)
state = {"w": distribute_tensor(whole, mesh, [Shard(0)]), "same": torch.ones(3), "step": 7}
artifact = artvc.Artifact("net", "model")
dcp.save(state, storage_writer=ArtifactWriter(artifact))
if rank == 0:
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
dist.barrier()
logged = artvc.Api().artifact("p/net")
back = {"w": distribute_tensor(torch.zeros(6, 2), mesh, [Shard(1)]), "same": torch.zeros(3), "step": 0}
dcp.load(back, storage_reader=ArtifactReader(logged))
assert torch.equal(back["w"].full_tensor(), whole), back["w"]
assert back["step"] == 7 and back["same"].sum() == 3
dist.barrier()
dist.destroy_process_group()
print("done")
"""


def test_two_ranks_make_one_version_and_load_it_in_other_shards(desk, python):
    import concurrent.futures

    (desk / "ranks.py").write_text(textwrap.dedent(RANKS))
    artvc.Repo.init(desk).close()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda rank: python("ranks.py", str(rank), str(desk / "meet")), range(2)))
    assert [one.stdout for one in done] == ["done\n", "done\n"], done[0].stderr + done[1].stderr
    artifact = artvc.Api(path=desk).artifact("p/net")
    assert sorted(artifact.manifest) == [
        "checkpoint.json", "objects/step.pt", "tensors/same@0", "tensors/w@0_0", "tensors/w@3_0",
    ]  # fmt: skip
    whole = load({"w": torch.zeros(6, 2), "same": torch.zeros(3), "step": 0}, artifact)
    assert torch.equal(whole["w"], torch.arange(12.0).reshape(6, 2))
