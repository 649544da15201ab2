"""The ref log: the only truth about names, and the only commit point.

Every change of names is one numbered, immutable transaction ``refs/<20 digits>.json``: two lines, the canonical
JSON of the transaction and its id (BLAKE3 of that JSON).  It is created exclusively (temporary file, fsync, link to
the next number, fsync of the directory); when the number is taken, the log is read again, the expectations are
checked again, and the next number is tried.  Each transaction names the id of the one before, so the log is a hash
chain.  The state is the fold of the log; every so often a checkpoint with the whole state is written beside it,
so that a reader folds only what came after.

That gives atomic changes of many names, readers without locks, many writers without a lock (flock is taken only to
spare retries), and a history of every name.

A ref is a name and a small JSON object:

    collections/<project>/<artifact>      {"type", "next"}: the artifact's type; the number that the next version gets
    artifacts/<project>/<artifact>/v<N>   {"artifact", "commit"}: set once; null once deleted; a link to a version of
                                          another artifact has "linked" and "source" too
    artifacts/<project>/<artifact>/<alias>  {"version": N}
    properties/<project>/<artifact>/v<N>  {"id"}
    uploads/<project>/<artifact>/<id>     {"parts", "type"}: trees that many processes contribute to one version
    runs/<project>/<run id>               {"commit", "ended", "name"}
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from artvc.errors import Conflict, Damaged, InvalidInput, MalformedObject, StorageError, StorageFull
from artvc.model import codec
from artvc.model.ids import Id, transaction_id
from artvc.model.objects import JsonObject, check_time
from artvc.store.fsio import Disk

FORMAT: Final = 1
TRANSACTION_BYTES: Final = 64 * 1024 * 1024
CHECKPOINT_BYTES: Final = 1024 * 1024 * 1024
EDITS: Final = 1_000_000
_CHECKPOINT_EVERY: Final = 64
_NAME = re.compile(r"([0-9]{20})\.(json|checkpoint)\Z")
_REF = re.compile(r"(collections|artifacts|properties|runs|uploads)(/[^/\x00-\x1f\x7f]{1,255}){2,3}\Z")


class RefEdit(NamedTuple):
    """One change of one name; ``old`` is what the writer saw, None for "not there"; ``new`` None removes."""

    name: str
    old: JsonObject | None
    new: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One entry of the log.

    Attributes:
        number: from 1.
        id: of its canonical bytes.
        previous: id of the transaction before, None for the first.
        edits: in order of names.
        time: when; who: name and e-mail; why: one line such as ``commit data:v3``.
    """

    number: int
    id: Id
    previous: Id | None
    edits: tuple[RefEdit, ...]
    time: str
    who: str
    why: str


@dataclass(slots=True)
class RefState:
    """All refs after a transaction.  It belongs to the log and moves on with it: take what is needed, keep nothing.

    Attributes:
        number: of the last transaction folded in; 0 is the empty log.
        head: its id.
        refs: value by name.
    """

    number: int = 0
    head: Id | None = None
    refs: dict[str, JsonObject] = field(default_factory=dict)
    _groups: dict[str, dict[str, JsonObject]] = field(default_factory=dict)
    _contents: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def get(self, name: str) -> JsonObject | None:
        """A ref's value, or None."""
        return self.refs.get(name)

    def below(self, prefix: str) -> Mapping[str, JsonObject]:
        """The refs of one directory, by last component: ``below("artifacts/p/data")`` has ``v0``, ``latest``..."""
        return self._groups.get(prefix, {})

    def having(self, prefix: str, artifact: str) -> list[str]:
        """The versions in a directory of refs that have some content, as ``v<N>``.

        Args:
            prefix: ``artifacts/<project>/<artifact>``.
            artifact: hex id.
        """
        return self._contents.get((prefix, artifact), [])

    def prefixes(self, prefix: str) -> list[str]:
        """The directories of refs that start with a prefix, sorted."""
        return sorted(group for group in self._groups if group.startswith(prefix))

    def set(self, name: str, value: JsonObject | None) -> None:
        """Put one ref (None removes it)."""
        directory, _, last = name.rpartition("/")
        if value is None:
            old = self.refs.pop(name, None)
            if old is not None and isinstance(artifact := old.get("artifact"), str):
                self._contents[directory, artifact].remove(last)
            group = self._groups.get(directory, {})
            group.pop(last, None)
            if not group:
                self._groups.pop(directory, None)
        else:
            self.refs[name] = value
            if isinstance(artifact := value.get("artifact"), str):
                self._contents.setdefault((directory, artifact), []).append(last)
            self._groups.setdefault(directory, {})[last] = value

    def fold(self, transaction: Transaction) -> None:
        """Apply the next transaction.

        Raises:
            Damaged: it does not follow, or expects other values than there are.
        """
        if transaction.number != self.number + 1 or transaction.previous != self.head:
            raise Damaged(f"transaction {transaction.number} of the ref log does not follow number {self.number}")
        for edit in transaction.edits:
            if self.refs.get(edit.name) != edit.old:
                raise Damaged(f"transaction {transaction.number} contradicts the ref log at {edit.name!r}")
        for edit in transaction.edits:
            self.set(edit.name, edit.new)
        self.number, self.head = transaction.number, transaction.id


Build = Callable[[RefState], Sequence[RefEdit]]
Check = Callable[[Sequence[RefEdit], RefState], None]


class RefLog:
    """The log of one repository.

    Args:
        disk: the door.
        root: the ``.artvc`` directory.
        check: called with the edits of each transaction and the state that they build on, before they count;
            raises where what they name was deleted meanwhile.
    """

    def __init__(self, disk: Disk, root: str, check: Check = lambda _edits, _state: None) -> None:
        self._check = check
        self._disk = disk
        self._dir = os.path.join(root, "refs")
        self._tmp = os.path.join(root, "tmp")
        self._lock = os.path.join(root, "locks", "refs")
        self._state = RefState()
        self._loaded = False
        self._checkpoint = 0
        self._reading = threading.RLock()  # two threads would fold the same transaction twice

    def state(self) -> RefState:
        """The present state, read from disk as far as it is new.

        Raises:
            Damaged: a transaction is damaged or missing; the message names the file.
        """
        with self._reading:
            if not self._loaded:
                self._load()
            self._follow()
            return self._state

    def _load(self) -> None:
        """Start from the newest checkpoint that can be read."""
        numbers = sorted(self._listed("checkpoint"), reverse=True)
        for number in numbers:
            try:
                self._state = self._read_checkpoint(number)
                self._checkpoint = number
                break
            except (Damaged, StorageError, FileNotFoundError, ValueError, AttributeError):
                continue
        self._loaded = True
        last = max(self._listed("json"), default=0)
        if last > self._state.number:
            self._follow()
            if self._state.number < last:
                path = self._path(self._state.number + 1, "json")
                raise Damaged(f"the ref log has a gap: {path} is missing but later transactions are there")

    def _listed(self, suffix: str) -> list[int]:
        matches = map(_NAME.match, self._disk.listdir(self._dir))
        return [int(match[1]) for match in matches if match and match[2] == suffix]

    def _path(self, number: int, suffix: str) -> str:
        return os.path.join(self._dir, f"{number:020}.{suffix}")

    def _follow(self) -> None:
        while True:
            try:
                transaction = self.read(self._state.number + 1)
            except FileNotFoundError:
                return
            self._state.fold(transaction)

    def read(self, number: int) -> Transaction:
        """One transaction.  Raises FileNotFoundError, Damaged."""
        path = self._path(number, "json")
        body = self._read_checked(path, TRANSACTION_BYTES)
        try:
            return _decode_transaction(body, number)
        except (MalformedObject, InvalidInput) as exc:
            raise Damaged(f"{path} is no transaction: {exc}") from exc

    def _read_checked(self, path: str, limit: int) -> bytes:
        """The first line of a file whose second line is its hash."""
        body, _, check = self._disk.read_file(path, limit=limit).partition(b"\n")
        if check != transaction_id(body).hex().encode() + b"\n":
            raise Damaged(f"{path} does not have its checksum")
        return body

    def _read_checkpoint(self, number: int) -> RefState:
        return read_checkpoint(number, self._disk.read_file(self._path(number, "checkpoint"), limit=CHECKPOINT_BYTES))

    def history(self, *, newest_first: bool = True) -> Iterator[Transaction]:
        """All transactions.  Raises Damaged."""
        last = self.state().number
        for number in range(last, 0, -1) if newest_first else range(1, last + 1):
            yield self.read(number)

    def apply(self, build: Build, *, time: str, who: str, why: str, empty: bool = False) -> Transaction | None:
        """Change names: all of the edits or none, durable on return.

        Args:
            build: computes the edits from a state; called again when another writer was first, so that it
                decides anew (the next version number, say) or raises Conflict.  No edits: nothing happens.
            time, who, why: for the log.
            empty: make a transaction also where there are no edits: whoever comes after it knows all that was done
                before (gc deletes only behind one).

        Raises:
            Conflict: an edit expects another value than there is, or names what gc deleted meanwhile.
            StorageFull, StorageError: nothing changed.
        """
        check_time(time)
        with self._disk.lock(self._lock, exclusive=True):
            while True:
                state = self.state()
                number = state.number + 1
                edits = _checked(build(state), state)
                if not edits and not empty:
                    # What is there already may be of a process that died before it was durable.
                    self._disk.fsync_dir(self._dir)
                    return None
                self._check(edits, state)
                body = _encode_transaction(state, edits, time=time, who=who, why=why)
                if state.number + 1 != number:  # somebody looked at the log meanwhile, and it moved on
                    continue
                # Another process's last transaction may not be durable yet; after a power cut ours must never
                # be there without it.
                self._disk.fsync_dir(self._dir)
                if state.number == 0:  # nor may the directories above, if their maker died half-way
                    root = os.path.dirname(self._dir)
                    self._disk.fsync_dir(root)
                    self._disk.fsync_dir(os.path.dirname(root))
                try:
                    self._disk.create_file(self._path(number, "json"), _with_id(body), tmp=self._tmp)
                except FileExistsError:
                    continue
                transaction = _decode_transaction(body, number)
                with self._reading:
                    if state.number < number:  # else another thread has seen it already
                        state.fold(transaction)
                    self._write_checkpoint_if_due()
                return transaction

    def accept(self, number: int, data: bytes) -> None:
        """Take up a transaction of another log that this one is a copy of.

        The copy can be had again, so it is not made durable.

        Args:
            number: of the transaction.
            data: its file.

        Raises:
            Damaged: it is no transaction, or does not follow the last one.
        """
        transaction = read_transaction(number, data)
        self.state().fold(transaction)
        self._disk.write_file(self._path(number, "json"), data, tmp=self._tmp, durable=False)
        self._write_checkpoint_if_due()

    def accept_checkpoint(self, number: int, data: bytes) -> None:
        """Take up a checkpoint of another log that this one is a copy of, in place of what leads up to it.

        Raises:
            Damaged: it is no checkpoint.
        """
        self._state = read_checkpoint(number, data)
        self._loaded, self._checkpoint = True, number
        self._disk.write_file(self._path(number, "checkpoint"), data, tmp=self._tmp, durable=False)

    def _write_checkpoint_if_due(self) -> None:
        """Spare readers the fold of a long log; losing a checkpoint loses nothing."""
        state = self._state
        due = max(_CHECKPOINT_EVERY, len(state.refs) // 64)
        if state.number - self._checkpoint < due or state.head is None:
            return
        self._checkpoint = state.number
        path = self._path(state.number, "checkpoint")
        try:
            self._disk.write_file(path, encode_checkpoint(state), tmp=self._tmp, durable=False)
        except (StorageError, StorageFull):
            return


def encode_checkpoint(state: RefState) -> bytes:
    """The file of a checkpoint after the last transaction of a state, of which there must be one."""
    head = state.head.hex() if state.head else ""
    return _with_id(codec.encode_json({"head": head, "number": state.number, "refs": {**state.refs}}))


def read_checkpoint(number: int, data: bytes) -> RefState:
    """The state in the file of a checkpoint.  Raises Damaged."""
    body, _, check = data.partition(b"\n")
    if check != transaction_id(body).hex().encode() + b"\n":
        raise Damaged(f"checkpoint {number} does not have its checksum")
    try:
        # The checksum says that artvc wrote it; the full check of form would double the time of every command.
        found = json.loads(body)
        head, refs = found.get("head"), found.get("refs")
        if found.get("number") != number or not isinstance(head, str) or not isinstance(refs, dict):
            raise Damaged(f"checkpoint {number} is malformed")
        state = RefState(number=number, head=Id.parse(head))
    except (ValueError, AttributeError, RecursionError) as exc:
        raise Damaged(f"checkpoint {number} is malformed") from exc
    for name, value in refs.items():
        if not _REF.match(name) or not isinstance(value, dict):
            raise Damaged(f"checkpoint {number} has a malformed ref")
        state.set(name, value)
    return state


def encode_transaction(state: RefState, edits: Sequence[RefEdit], *, time: str, who: str, why: str) -> bytes:
    """The file of the transaction that follows a state.

    Raises:
        Conflict: an edit expects another value than there is.
    """
    return _with_id(_encode_transaction(state, _checked(edits, state), time=time, who=who, why=why))


def read_transaction(number: int, data: bytes) -> Transaction:
    """The transaction in a file of the log.  Raises Damaged."""
    body, _, check = data.partition(b"\n")
    if check != transaction_id(body).hex().encode() + b"\n":
        raise Damaged(f"transaction {number} does not have its checksum")
    try:
        return _decode_transaction(body, number)
    except InvalidInput as exc:
        raise Damaged(f"transaction {number} is malformed: {exc}") from exc


def _with_id(body: bytes) -> bytes:
    return body + b"\n" + transaction_id(body).hex().encode() + b"\n"


def _checked(edits: Sequence[RefEdit], state: RefState) -> tuple[RefEdit, ...]:
    """The edits that change something, in order of names.  Raises Conflict."""
    wanted = sorted((edit for edit in edits if edit.old != edit.new), key=lambda edit: edit.name)
    for edit in wanted:
        if not _REF.match(edit.name):
            raise Conflict(f"not a name of a ref: {edit.name!r}")
        if state.get(edit.name) != edit.old:
            raise Conflict(f"{edit.name} was changed by somebody else meanwhile", hint="look and try again")
    if len({edit.name for edit in wanted}) != len(wanted):
        raise Conflict("one transaction changes a name twice")
    return tuple(wanted)


def _encode_transaction(state: RefState, edits: Sequence[RefEdit], *, time: str, who: str, why: str) -> bytes:
    return codec.encode_json(
        {
            "edits": [{"name": edit.name, "new": edit.new, "old": edit.old} for edit in edits],
            "format": FORMAT,
            "number": state.number + 1,
            "previous": state.head.hex() if state.head else None,
            "time": time,
            "who": who,
            "why": why,
        }
    )


def _decode_transaction(body: bytes, number: int) -> Transaction:
    """Read a transaction.  Raises MalformedObject."""
    found = codec.decode_json(body, limit=TRANSACTION_BYTES)
    previous, edits = found.get("previous"), found.get("edits")
    time, who, why = found.get("time"), found.get("who"), found.get("why")
    if not isinstance(edits, list) or found.get("number") != number or found.get("format") != FORMAT:
        raise MalformedObject("not a transaction of this format and number")
    if not isinstance(time, str) or not isinstance(who, str) or not isinstance(why, str) or len(found) != 7:
        raise MalformedObject("fields are missing or of a wrong type")
    if not (previous is None or isinstance(previous, str)) or len(edits) > EDITS:
        raise MalformedObject("previous transaction or number of edits is malformed")
    return Transaction(
        number=number,
        id=transaction_id(body),
        previous=Id.parse(previous) if previous is not None else None,
        edits=tuple(map(_decode_edit, edits)),
        time=check_time(time),
        who=who,
        why=why,
    )


def _decode_edit(found: object) -> RefEdit:
    if not isinstance(found, dict) or found.keys() != {"name", "new", "old"}:
        raise MalformedObject("an edit has name, new and old")
    name, new, old = found["name"], found["new"], found["old"]
    if not isinstance(name, str) or not _REF.match(name):
        raise MalformedObject("an edit names no ref")
    if not (new is None or isinstance(new, dict)) or not (old is None or isinstance(old, dict)):
        raise MalformedObject("the value of a ref is an object")
    return RefEdit(name, old, new)
