"""``torch.distributed.checkpoint`` into and out of artifacts.

Save a state dict as files of a draft, and log it::

    artifact = artvc.Artifact("net", "model")
    dcp.save(state, storage_writer=ArtifactWriter(artifact))
    run.log_artifact(artifact)                                     # on rank 0

    dcp.load(state, storage_reader=ArtifactReader(run.use_artifact("net:best")))

A file holds the plain bytes of a tensor or of a shard of one, so that a version stores only the tensors that
changed.  ``checkpoint.json`` says what they are; nothing of it is a pickle, unlike what DCP's own
writer leaves.  Objects that are no tensors are stored as ``torch.save`` writes them, and only such that
``torch.load(weights_only=True)`` accepts are taken and given back.

Every rank stores its own shards in the repository, which all of them must see; rank 0 puts the version together.
"""

import ctypes
import hashlib
import io
import json
import math
import os
import sys
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    LoadPlanner,
    SavePlan,
    SavePlanner,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from artvc.errors import Damaged, InvalidInput, InvalidType, NotFound
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Content, EntryKind, file_entry
from artvc.sdk.artifact import Artifact

INDEX: Final = "checkpoint.json"
FORMAT: Final = 1
INDEX_BYTES: Final = 256 * 1024 * 1024
DIMENSIONS: Final = 64
_NAME_CHARACTERS: Final = 160


class _Place:
    """Where in an artifact a checkpoint lies: at its root, or below the checkpoint's id."""

    def __init__(self, artifact: Artifact) -> None:
        if not isinstance(artifact, Artifact):
            raise InvalidType(f"a checkpoint is kept in an artvc.Artifact, not in {type(artifact).__name__}")
        self.artifact = artifact
        self.prefix = ""

    def reset(self, checkpoint_id: "str | os.PathLike[str] | None") -> None:
        self.prefix = f"{names.logical_path(os.fspath(checkpoint_id))}/" if checkpoint_id is not None else ""


class ArtifactWriter(StorageWriter):
    """Writes a checkpoint into a draft.

    Args:
        artifact: the draft; on other ranks than 0 any draft of the same repository, which is not logged.

    Raises:
        InvalidType: no artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self._place = _Place(artifact)
        self._coordinates = True

    def reset(self, checkpoint_id: "str | os.PathLike[str] | None" = None) -> None:
        """Begin a checkpoint; with an id it goes into a directory of that name."""
        self._place.reset(checkpoint_id)

    def set_up_storage_writer(self, is_coordinator: bool, *_: Any, **__: Any) -> None:
        """Note who puts the version together."""
        self._coordinates = is_coordinator

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Nothing to add."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Nothing to add."""
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> "Future[list[WriteResult]]":
        """Store this rank's tensors and objects.

        Raises:
            InvalidInput: an object that ``torch.load(weights_only=True)`` would not give back, or a tensor whose
                layout is not strided.
            StorageFull, StorageError: the repository's disk.
        """
        results = [self._write(item, planner) for item in plan.items]
        if not self._coordinates:
            self._place.artifact._place().intake.rest()  # rank 0 only names it, so it must be there
        future: Future = Future()
        future.set_result(results)
        return future

    def _write(self, item: Any, planner: SavePlanner) -> WriteResult:
        data = planner.resolve_data(item)
        if item.type == WriteItemType.BYTE_IO:
            raw = data.getbuffer()
            _check_plain(data, item.index.fqn)
            path = f"{self._place.prefix}objects/{_file_name(item.index.fqn)}.pt"
        else:
            tensor = data.detach().resolve_conj().resolve_neg().cpu().contiguous()
            raw = _bytes_of(tensor)
            path = self._place.prefix + _tensor_path(item.index.fqn, item.index.offset)
        with self._place.artifact.new_file(path, "wb") as file:
            file.write(raw)
        entry = self._place.artifact._entries[path]
        assert entry.id is not None
        stored = (path, int(entry.kind), entry.id.hex(), entry.size)
        return WriteResult(index=item.index, size_in_bytes=entry.size, storage_data=stored)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Put the shards of all ranks and the index into the draft (on rank 0)."""
        artifact = self._place.artifact
        files: dict[tuple[str, tuple[int, ...]], str] = {}
        for result in (one for rank in results for one in rank):
            path, kind, digest, size = result.storage_data
            content = Content(EntryKind(kind), Id.parse(digest), size)
            artifact._put(path, file_entry(path.rpartition("/")[2], content), True)
            files[result.index.fqn, tuple(result.index.offset or ())] = path.removeprefix(self._place.prefix)
        body = json.dumps(_described(metadata, files), sort_keys=True, separators=(",", ":"))
        with artifact.new_file(self._place.prefix + INDEX, "w") as file:
            file.write(body)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: "str | os.PathLike[str]") -> bool:
        """Whether it may be a directory in an artifact."""
        return _is_directory(checkpoint_id)

    def storage_meta(self) -> StorageMeta | None:
        """Nothing."""
        return None


class ArtifactReader(StorageReader):
    """Reads a checkpoint out of an artifact; only verified bytes come out, and nothing is unpickled on trust.

    Args:
        artifact: a logged version.

    Raises:
        InvalidType: no artifact.
        ArtifactNotLoggedError: it is a draft.
    """

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self._place = _Place(artifact)
        artifact._logged("get_entry")
        self._files: dict[tuple[str, tuple[int, ...]], str] = {}
        self._tensors: dict[str, Any] = {}

    def reset(self, checkpoint_id: "str | os.PathLike[str] | None" = None) -> None:
        """Begin to read; with an id from the directory of that name."""
        self._place.reset(checkpoint_id)

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        """What the checkpoint holds.

        Raises:
            NotFound: there is none in the artifact.
            Damaged: its index is malformed.
        """
        raw = self._read(INDEX, INDEX_BYTES)
        try:
            found = json.loads(raw)
            metadata, self._files = _restored(found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as exc:
            source = self._place.artifact.source_name
            raise Damaged(f"{self._place.prefix + INDEX} of {source} is no index of a checkpoint: {exc}") from exc
        self._tensors = metadata.state_dict_metadata
        return metadata

    def set_up_storage_reader(self, *_: Any, **__: Any) -> None:
        """Read the index here, too, where only rank 0 did."""
        if not self._files:
            self.read_metadata()

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Nothing to add."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Nothing to add."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> "Future[None]":
        """Give the planner what it asks for, file by file.

        Raises:
            NotFound: a file of the checkpoint is not there.
            Damaged: stored bytes are not what they were, or not what the index says.
        """
        by_file: dict[str, list[Any]] = {}
        for item in plan.items:
            key = item.storage_index.fqn, tuple(item.storage_index.offset or ())
            if key not in self._files:
                raise NotFound(f"the checkpoint in {self._place.artifact.source_name} has no {key[0]!r}")
            by_file.setdefault(self._files[key], []).append(item)
        for path, items in by_file.items():
            if items[0].type == LoadItemType.BYTE_IO:
                raw = self._read(path, INDEX_BYTES)
                for item in items:
                    _check_plain(io.BytesIO(raw), item.storage_index.fqn)
                    planner.load_bytes(item, io.BytesIO(raw))
            else:
                shard = self._shard(path, items[0].storage_index)
                for item in items:
                    _hand_over(shard, item, planner)
        future: Future = Future()
        future.set_result(None)
        return future

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: "str | os.PathLike[str]") -> bool:
        """Whether it may be a directory in an artifact."""
        return _is_directory(checkpoint_id)

    def _entry(self, path: str) -> Any:
        try:
            return self._place.artifact.get_entry(self._place.prefix + path)
        except KeyError:
            source = self._place.artifact.source_name
            raise NotFound(f"{source} has no file {self._place.prefix + path!r}", hint="is it a checkpoint?") from None

    def _read(self, path: str, limit: int) -> bytes:
        entry = self._entry(path)
        if entry.size > limit:
            raise Damaged(f"{path!r} has {entry.size} bytes, more than the {limit} that it may have")
        with self._place.artifact._place().repo.open_file(entry._entry) as file:
            return bytes(file.read())

    def _shard(self, path: str, index: Any) -> Any:
        """A tensor as it was stored; its bytes are read into it."""
        said = self._tensors[index.fqn]
        offsets = tuple(index.offset or ())
        (chunk,) = [one for one in said.chunks if tuple(one.offsets) == offsets] if offsets else said.chunks[:1]
        entry = self._entry(path)
        size = math.prod(chunk.sizes) * said.properties.dtype.itemsize
        if entry.size != size:
            raise Damaged(f"{path!r} has {entry.size} bytes, a tensor of {list(chunk.sizes)} has {size}")
        tensor = torch.empty(tuple(chunk.sizes), dtype=said.properties.dtype)
        view, at = _bytes_of(tensor), 0
        with self._place.artifact._place().repo.open_file(entry._entry) as file:
            while at < size:
                at += file.readinto(view[at:]) or size
        return tensor


def _hand_over(shard: Any, item: Any, planner: LoadPlanner) -> None:
    """Copy the part of a shard that an item asks for to where it belongs."""
    for axis, (start, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
        shard = shard.narrow(axis, start, length)
    target = planner.resolve_tensor(item).detach()
    if target.size() != shard.size():
        raise InvalidInput(
            f"{item.dest_index.fqn!r} has shape {list(target.size())}, the checkpoint {list(shard.size())}"
        )
    target.copy_(shard)
    planner.commit_tensor(item, target)


def _bytes_of(tensor: Any) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, which must outlive them."""
    size = tensor.numel() * tensor.element_size()
    if not size:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")


def _check_plain(stream: io.BytesIO, name: str) -> None:
    """Refuse a pickle that could do more than build plain values and tensors."""
    stream.seek(0)
    try:
        torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as exc:  # torch raises several kinds for what it can't or won't read
        raise InvalidInput(
            f"{name!r} of the checkpoint is an object that could run code when it is loaded",
            hint="keep tensors, numbers, text, lists and dicts in the state",
        ) from exc
    stream.seek(0)


def _file_name(name: str) -> str:
    """A name of the state as a name of a file, other names as others."""
    quoted = urllib.parse.quote(name, safe=" ")
    if len(quoted) <= _NAME_CHARACTERS:
        return quoted
    return f"{quoted[: _NAME_CHARACTERS // 2]}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _tensor_path(name: str, offsets: Any) -> str:
    return f"tensors/{_file_name(name)}@{'_'.join(map(str, offsets or ())) or '0'}"


def _is_directory(checkpoint_id: "str | os.PathLike[str]") -> bool:
    try:
        names.logical_path(os.fspath(checkpoint_id))
    except (InvalidInput, TypeError):
        return False
    return True


def _described(metadata: Metadata, files: Mapping[tuple[str, tuple[int, ...]], str]) -> dict[str, Any]:
    """The index of a checkpoint as JSON."""
    tensors, objects = {}, {}
    for name, said in metadata.state_dict_metadata.items():
        if isinstance(said, BytesStorageMetadata):
            objects[name] = files[name, ()]
            continue
        if said.properties.layout != torch.strided:
            raise InvalidInput(f"{name!r} has layout {said.properties.layout}; only strided tensors can be stored")
        tensors[name] = {
            "dtype": str(said.properties.dtype).removeprefix("torch."),
            "requires_grad": said.properties.requires_grad,
            "shape": list(said.size),
            "shards": [
                {
                    "file": _file_of(files, name, chunk),
                    "offsets": list(chunk.offsets),
                    "shape": list(chunk.sizes),
                }
                for chunk in said.chunks
            ],
        }
    paths = {name: list(path) for name, path in (metadata.planner_data or {}).items()}
    return {
        "byteorder": sys.byteorder,
        "format": FORMAT,
        "objects": objects,
        "paths": paths,
        "tensors": tensors,
    }


def _file_of(files: Mapping[tuple[str, tuple[int, ...]], str], name: str, chunk: Any) -> str:
    """The file of a shard; DCP leaves out the offsets of a tensor that is whole."""
    return files.get((name, tuple(chunk.offsets))) or files[name, ()]


def _restored(found: Any) -> tuple[Metadata, dict[tuple[str, tuple[int, ...]], str]]:
    """DCP's metadata from the index, and the files by name and offsets.  Raises what a malformed one leads to."""
    if found["format"] != FORMAT or found["byteorder"] != sys.byteorder:
        raise ValueError(f"format {found['format']!r} and byte order {found['byteorder']!r} are not readable here")
    said: dict[str, Any] = {}
    files: dict[tuple[str, tuple[int, ...]], str] = {}
    for name, path in found["objects"].items():
        said[name] = BytesStorageMetadata()
        files[name, ()] = names.logical_path(path)
    for name, tensor in found["tensors"].items():
        shape = _sizes(tensor["shape"])
        chunks = []
        for shard in tensor["shards"]:
            offsets, sizes = _sizes(shard["offsets"]), _sizes(shard["shape"])
            if not len(shape) == len(offsets) == len(sizes) or any(
                start + length > whole for start, length, whole in zip(offsets, sizes, shape, strict=True)
            ):
                raise ValueError(f"a shard of {name!r} does not lie in the tensor")
            chunks.append(ChunkStorageMetadata(offsets=torch.Size(offsets), sizes=torch.Size(sizes)))
            files[name, offsets] = files[name, ()] = names.logical_path(shard["file"])
        properties = TensorProperties(dtype=_dtype(tensor["dtype"]), requires_grad=bool(tensor["requires_grad"]))
        said[name] = TensorStorageMetadata(properties=properties, size=torch.Size(shape), chunks=chunks)
    paths = {str(name): tuple(_key(part) for part in path) for name, path in found["paths"].items()}
    return Metadata(state_dict_metadata=said, planner_data=paths, storage_data={}), files


def _sizes(given: Any) -> tuple[int, ...]:
    if not isinstance(given, list) or len(given) > DIMENSIONS:
        raise ValueError("sizes are a list of at most 64 numbers")
    if any(type(one) is not int or not 0 <= one < 1 << 48 for one in given):
        raise ValueError("a size is a number from 0 to 2**48")
    return tuple(given)


def _key(given: Any) -> str | int:
    if not isinstance(given, str | int):
        raise ValueError("a path in the state has a part that is neither text nor a number")
    return given


def _dtype(name: Any) -> Any:
    found = getattr(torch, name) if isinstance(name, str) and name.isidentifier() else None
    if not isinstance(found, torch.dtype):
        raise ValueError(f"no dtype {name!r:.80}")
    return found
