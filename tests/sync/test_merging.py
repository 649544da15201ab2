"""The merge of two sets of refs: single cases by hand, and clones that do anything in any order."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import Damaged, InvalidInput
from artvc.model import names
from artvc.sync.merging import Clash, Merged, Renumbered, check, merge

Refs = dict[str, dict]
P, N = "p", "data"
V = f"artifacts/{P}/{N}/"


def an_id(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def version(word: str, by: str = "run", **more: object) -> dict:
    return {"artifact": an_id(word), "commit": an_id(f"{word} by {by}"), **more}


def artifact(*words: str | None, name: str = N, by: str = "run", said: dict | None = None, **aliases: int) -> Refs:
    """An artifact with these contents as v0, v1, ... (None: deleted) and aliases; ``latest`` is the last."""
    refs: Refs = {f"collections/{P}/{name}": {"next": len(words), "type": "t", **(said or {})}}
    numbers = [number for number, word in enumerate(words) if word is not None]
    for number in numbers:
        refs[f"artifacts/{P}/{name}/v{number}"] = version(str(words[number]), by)
        refs[f"properties/{P}/{name}/v{number}"] = {"id": an_id(f"about {words[number]}")}
    for alias, number in (({"latest": max(numbers)} if numbers else {}) | aliases).items():
        refs[f"artifacts/{P}/{name}/{alias}"] = {"version": number}
    return refs


def contents(refs: Refs, name: str = N) -> dict[str, str]:
    """Alias or version to the id of its content."""
    prefix = f"artifacts/{P}/{name}/"
    found = {ref.removeprefix(prefix): value for ref, value in refs.items() if ref.startswith(prefix)}
    return {key: one.get("artifact") or found[f"v{one['version']}"]["artifact"] for key, one in found.items()}


def are(**words: str) -> dict[str, str]:
    return {key: an_id(word) for key, word in words.items()}


def without(refs: Refs, *gone: str) -> Refs:
    return {ref: value for ref, value in refs.items() if ref not in gone}


def renumbered(*pairs: tuple[int, int]) -> list[Renumbered]:
    return [Renumbered(P, N, old, new) for old, new in pairs]


BASE = artifact("a")


# -- one side ----------------------------------------------------------------------------------------------


def test_nothing_and_nothing():
    assert merge({}, {}, {}) == Merged()


def test_what_only_one_side_did_is_taken_whichever_side_it_was():
    changed = artifact("a", "b", best=0) | {
        f"runs/{P}/r1": {"commit": an_id("c"), "ended": "", "name": "", "started": ""}
    }
    for ours, theirs, taken in ((changed, BASE, False), (BASE, changed, True)):
        found = merge(ours, theirs, BASE)
        assert found.refs == changed
        assert (found.renumbered, found.clashes, bool(found.taken)) == ([], [], taken)


def test_what_one_side_removed_is_removed():
    base = artifact("a", "b", best=0)
    removed = without(base, V + "best")
    assert merge(removed, base, base).refs == merge(base, removed, base).refs == removed


def test_uploads_stay_at_home():
    mine = BASE | {f"uploads/{P}/{N}/x": {"parts": [], "type": "t"}}
    assert merge(mine, BASE, BASE).refs == merge(BASE, mine, BASE).refs == BASE


# -- numbers -----------------------------------------------------------------------------------------------


def test_a_number_that_both_gave_stays_with_the_other_side():
    found = merge(artifact("a", "mine"), artifact("a", "theirs"), BASE)
    assert contents(found.refs) == are(v0="a", v1="theirs", v2="mine", latest="mine")
    assert found.renumbered == renumbered((1, 2))
    assert found.refs[f"collections/{P}/{N}"]["next"] == 3
    assert found.refs[f"properties/{P}/{N}/v2"] == {"id": an_id("about mine")}


def test_only_what_must_is_renumbered_and_the_order_stays():
    found = merge(artifact("a", "m1", None, "m3"), artifact("a", "t1"), BASE)
    assert contents(found.refs) == are(v0="a", v1="t1", v2="m1", v3="m3", latest="m3")
    assert found.renumbered == renumbered((1, 2))
    found = merge(artifact("a", "m1", "m2"), artifact("a", "t1", "t2", None), BASE)
    assert contents(found.refs) == are(v0="a", v1="t1", v2="t2", v4="m1", v5="m2", latest="m2")
    assert found.renumbered == renumbered((1, 4), (2, 5))


def test_a_number_that_the_other_side_deleted_is_not_given_again():
    found = merge(artifact("a", "mine"), artifact("a", None), BASE)
    assert contents(found.refs) == are(v0="a", v2="mine", latest="mine")


def test_numbers_that_nobody_else_has_stay():
    found = merge(artifact("a", None, "mine"), BASE, BASE)
    assert found.renumbered == [] and contents(found.refs) == are(v0="a", v2="mine", latest="mine")
    assert found.refs[f"collections/{P}/{N}"]["next"] == 3


def test_aliases_properties_and_links_follow_a_renumbered_version():
    link = f"artifacts/{P}/shelf/v0"
    ours = artifact("a", "mine", best=1) | {
        f"collections/{P}/shelf": {"next": 1, "type": "t"},
        link: version("mine", linked="2026", source=f"{P}/{N}/v1"),
        f"artifacts/{P}/shelf/latest": {"version": 0},
    }
    found = merge(ours, artifact("a", "theirs"), BASE)
    assert found.refs[link]["source"] == f"{P}/{N}/v2"
    assert contents(found.refs)["best"] == an_id("mine")
    assert found.refs[f"properties/{P}/{N}/v1"] == {"id": an_id("about theirs")}


def test_equal_content_is_one_version():
    """Whatever the two sides called it, the other side's number and run stay, and aliases of both stand for it."""
    found = merge(artifact("a", "x", "both", best=2), artifact("a", "both", by="them"), BASE)
    assert contents(found.refs) == are(v0="a", v1="both", v2="x", best="both", latest="both")
    assert found.refs[V + "v1"] == version("both", "them")
    assert found.renumbered == renumbered((1, 2), (2, 1))
    assert found.clashes == []


def test_what_was_deleted_and_logged_again_is_a_new_version():
    base = artifact("a", "b")
    found = merge(artifact("a", None, "b"), base, base)
    assert contents(found.refs) == are(v0="a", v2="b", latest="b")
    assert found.renumbered == []


def test_a_link_is_not_the_version_of_equal_content():
    mine, theirs = artifact("a", "x"), artifact("a", "x")
    theirs[V + "v1"] = version("x", linked="2026", source=f"{P}/other/v0")
    theirs |= artifact("x", name="other")
    found = merge(mine, without(theirs, f"properties/{P}/{N}/v1"), BASE)
    assert contents(found.refs) == are(v0="a", v1="x", v2="x", latest="x")
    assert "source" in found.refs[V + "v1"] and "source" not in found.refs[V + "v2"]
    assert found.refs[f"properties/{P}/{N}/v2"] == {"id": an_id("about x")}


def test_two_repositories_that_never_met():
    found = merge(artifact("m0", "both"), artifact("both", "t1"), {})
    assert contents(found.refs) == are(v0="both", v1="t1", v2="m0", latest="t1")
    assert found.renumbered == renumbered((0, 2), (1, 0))


def test_a_version_that_a_third_side_has_keeps_its_number_or_nothing_happens():
    ours, theirs = artifact("a", "mine"), artifact("a", "theirs")
    with pytest.raises(InvalidInput, match="p/data:v1"):
        merge(ours, theirs, BASE, pinned={V + "v1"})
    assert merge(ours, BASE, BASE, pinned={V + "v1"}).refs == ours


def test_artifacts_of_two_types_are_not_merged():
    theirs = artifact("b")
    theirs[f"collections/{P}/{N}"]["type"] = "model"
    with pytest.raises(InvalidInput, match="'t' here and 'model' there"):
        merge(BASE, theirs, {})


# -- aliases, properties, runs ------------------------------------------------------------------------------

TWO = artifact("a", "b", best=0)


def moved(number: int | None) -> Refs:
    return without(TWO, V + "best") | ({V + "best": {"version": number}} if number is not None else {})


@pytest.mark.parametrize("ours", [0, 1, None])
@pytest.mark.parametrize("theirs", [0, 1, None])
def test_an_alias_clashes_exactly_where_both_moved_it_apart(ours, theirs):
    base = artifact("a", "b", "c", best=2)
    found = merge(moved(ours) | {}, moved(theirs) | {}, base)
    expected = (
        [] if ours == theirs else [Clash(V + "best", *("removed" if n is None else f"v{n}" for n in (ours, theirs)))]
    )
    assert found.clashes == expected
    for number, other in ((ours, theirs), (theirs, ours)):
        assert merge(moved(number), base, base).clashes == merge(base, moved(other), base).clashes == []


@pytest.mark.parametrize("word", ["p/data:best", "data:best", "*"])
def test_a_clash_is_settled_by_its_word(word):
    base = artifact("a", "b", best=0)
    ours, theirs = moved(None), moved(1)
    assert merge(ours, theirs, base, settled={word: "theirs"}).refs == theirs
    assert merge(ours, theirs, base, settled={word: "ours"}).refs == ours
    assert merge(ours, theirs, base, settled={"other:best": "ours"}).clashes[0].word == "p/data:best"


def test_an_alias_that_both_moved_to_one_content_does_not_clash():
    found = merge(
        artifact("a", "x", "both", best=2), artifact("a", "both", best=1), BASE | {V + "best": {"version": 0}}
    )
    assert found.clashes == [] and contents(found.refs)["best"] == an_id("both")


def test_latest_settles_itself():
    base = artifact("a", "b")
    for ours, theirs, latest in (
        (artifact("a", "b", "c"), artifact("a", "b", latest=0), "c"),
        (artifact("a", "b", latest=0), artifact("a", "b", "c"), "c"),
        (artifact(None, None), artifact("a", "b", "c"), "c"),
        (artifact("a", "b", "c"), artifact(None, None), "c"),
        (artifact(None, "b"), artifact("a", None), None),
    ):
        found = merge(ours, theirs, base)
        assert found.clashes == []
        assert contents(found.refs).get("latest") == (an_id(latest) if latest else None)


def test_latest_is_what_is_left_where_each_side_deleted_the_others():
    base = artifact("a", "b", "c")
    ours, theirs = artifact("a", "b", None), artifact("a", None, "c")
    assert (
        contents(merge(ours, theirs, base).refs) == contents(merge(theirs, ours, base).refs) == are(v0="a", latest="a")
    )


def test_an_alias_and_a_link_go_with_the_version_that_the_other_side_deleted():
    base = artifact("a", "b")
    ours = base | {
        V + "best": {"version": 0},
        f"collections/{P}/shelf": {"next": 1, "type": "t"},
        f"artifacts/{P}/shelf/v0": version("a", linked="2026", source=f"{P}/{N}/v0"),
        f"artifacts/{P}/shelf/latest": {"version": 0},
    }
    found = merge(ours, artifact(None, "b"), base)
    assert contents(found.refs) == are(v1="b", latest="b")
    assert contents(found.refs, "shelf") == {}
    assert found.clashes == []


def test_what_is_said_about_an_artifact_comes_from_who_said_it():
    base = artifact("a", said={"description": "old", "tags": ["x", "y"]})
    ours = artifact("a", "mine", said={"description": "new", "tags": ["x", "y", "z"]})
    theirs = artifact("a", "theirs", said={"description": "old", "tags": ["y"]})
    for one, other in ((ours, theirs), (theirs, ours)):
        said = merge(one, other, base).refs[f"collections/{P}/{N}"]
        assert said == {"description": "new", "next": 3, "tags": ["y", "z"], "type": "t"}
    gone = artifact("a", "mine")
    assert merge(gone, theirs, base).refs[f"collections/{P}/{N}"] == {"next": 3, "type": "t"}


def test_properties_clash_where_both_changed_them():
    ref = f"properties/{P}/{N}/v0"
    ours, theirs = BASE | {ref: {"id": an_id("1")}}, BASE | {ref: {"id": an_id("2")}}
    found = merge(ours, theirs, BASE)
    assert [one.word for one in found.clashes] == ["p/data:v0"]
    assert "what is said about p/data:v0" in found.clashes[0].told("origin")
    assert merge(ours, theirs, BASE, settled={"data:v0": "theirs"}).refs == theirs
    assert merge(ours, BASE, BASE).refs == merge(BASE, ours, BASE).refs == ours


def test_properties_that_one_side_changed_and_the_other_removed_go_only_with_the_version():
    ref = f"properties/{P}/{N}/v0"
    ours = BASE | {ref: {"id": an_id("1")}}
    assert merge(ours, artifact(None), BASE).refs == artifact(None)
    assert merge(ours, without(BASE, ref), BASE).refs == ours


def run(commit: str) -> dict:
    return {"commit": an_id(commit), "ended": "", "name": "n", "started": ""}


def test_of_a_run_the_later_commit_counts():
    ref = f"runs/{P}/r"
    later = lambda newer, older: (newer["commit"], older["commit"]) == (an_id("2"), an_id("1"))  # noqa: E731
    for ours, theirs in (("1", "2"), ("2", "1")):
        found = merge({ref: run(ours)}, {ref: run(theirs)}, {ref: run("0")}, follows=later)
        assert (found.refs, found.clashes) == ({ref: run("2")}, [])
    found = merge({ref: run("1")}, {ref: run("3")}, {ref: run("0")}, follows=later)
    assert found.clashes[0].word == "p/r" and "went on here and on origin" in found.clashes[0].told("origin")


def test_a_run_that_one_side_deleted_and_the_other_went_on_with_stays():
    ref = f"runs/{P}/r"
    assert merge({}, {ref: run("1")}, {ref: run("0")}).refs == {ref: run("1")}
    assert merge({ref: run("1")}, {}, {ref: run("0")}).refs == {ref: run("1")}


# -- clones that do anything --------------------------------------------------------------------------------

ARTIFACTS = ("data", "net")


class Clone:
    """A repository as refs, with what it last agreed on with the hub."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refs: Refs = {}
        self.base: Refs = {}

    def numbers(self, artifact: str) -> list[int]:
        prefix = f"artifacts/{P}/{artifact}/"
        found = (names.version_number(ref.removeprefix(prefix)) for ref in self.refs if ref.startswith(prefix))
        return sorted(number for number in found if number is not None)

    def log(self, artifact: str, word: str) -> None:
        base, collection = f"artifacts/{P}/{artifact}", f"collections/{P}/{artifact}"
        own = [n for n in self.numbers(artifact) if self.refs[f"{base}/v{n}"]["artifact"] == an_id(word)]
        number = own[-1] if own else self.refs.get(collection, {}).get("next", 0)
        if not own:
            self.refs[collection] = {"type": "t", **self.refs.get(collection, {}), "next": number + 1}
            self.refs[f"{base}/v{number}"] = version(word, self.name)
            self.refs[f"properties/{P}/{artifact}/v{number}"] = {"id": an_id(f"about {word}")}
        self.refs[f"{base}/latest"] = {"version": number}

    def delete(self, artifact: str, number: int) -> str:
        base = f"artifacts/{P}/{artifact}"
        word = self.refs.pop(f"{base}/v{number}")["artifact"]
        self.refs.pop(f"properties/{P}/{artifact}/v{number}", None)
        left = self.numbers(artifact)
        for ref, value in list(self.refs.items()):
            if ref.startswith(base + "/") and value.get("version") == number:
                del self.refs[ref]
                if ref == f"{base}/latest" and left:
                    self.refs[ref] = {"version": left[-1]}
        return word

    def alias(self, artifact: str, alias: str, number: int) -> None:
        self.refs[f"artifacts/{P}/{artifact}/{alias}"] = {"version": number}


class Team:
    """Clones around a hub."""

    def __init__(self, count: int) -> None:
        self.clones = [Clone(f"clone{number}") for number in range(count)]
        self.hub: Refs = {}
        self.deleted: set[tuple[str, str]] = set()
        self.logged: set[tuple[str, str]] = set()
        self.owned: dict[tuple[str, str], str] = {}  # aliases that only one clone moves: to content

    def sync(self, clone: Clone, *, push: bool) -> Merged:
        before = {
            (artifact, number): clone.refs[f"artifacts/{P}/{artifact}/v{number}"]["artifact"]
            for artifact in ARTIFACTS
            for number in clone.numbers(artifact)
        }
        found = merge(clone.refs, self.hub, clone.base, settled={"*": "theirs"})
        assert found == merge(dict(reversed(clone.refs.items())), self.hub, clone.base, settled={"*": "theirs"})
        assert found.clashes == []
        whole(found.refs)
        check(found.refs)
        for one in found.renumbered:
            word = before[one.name, one.old]
            assert found.refs[f"artifacts/{P}/{one.name}/v{one.new}"]["artifact"] == word
            there = self.hub.get(f"artifacts/{P}/{one.name}/v{one.old}")
            following = self.hub.get(f"collections/{P}/{one.name}", {}).get("next", 0)
            known = word in [value.get("artifact") for value in self.hub.values()]
            later = any(other.name == one.name and other.new == one.old for other in found.renumbered)
            assert there or known or one.old < following or later, "renumbered without need"
        for ref, value in self.hub.items():  # what others have seen keeps its name
            if ref.startswith("artifacts/") and ref in found.refs and "artifact" in value:
                assert found.refs[ref]["artifact"] == value["artifact"]
        clone.refs = dict(found.refs)
        clone.base = dict(self.hub)
        if push:
            self.hub = dict(found.refs)
            clone.base = dict(found.refs)
        return found


def whole(refs: Refs) -> None:
    """Nothing dangles, and numbers are below ``next``."""
    for ref, value in refs.items():
        kind, project, name, *rest = ref.split("/")
        if kind == "collections":
            continue
        number = names.version_number(rest[0])
        if number is None:
            assert f"artifacts/{project}/{name}/v{value['version']}" in refs
        else:
            assert number < refs[f"collections/{project}/{name}"]["next"]
            assert f"artifacts/{project}/{name}/v{number}" in refs
            assert f"artifacts/{project}/{name}/latest" in refs


STEPS = st.tuples(
    st.integers(0, 2),  # clone
    st.sampled_from(ARTIFACTS),
    st.sampled_from(["log", "log", "log same", "delete", "alias", "shared alias", "pull", "push", "push"]),
    st.integers(0, 7),  # which
)


@given(st.lists(STEPS, max_size=40), st.integers(2, 3))
def test_clones_that_do_anything_lose_nothing_and_end_up_equal(steps, count):
    team = Team(count)
    for at, (who, artifact, what, which) in enumerate(steps):
        clone = team.clones[who % count]
        numbers = clone.numbers(artifact)
        base = f"artifacts/{P}/{artifact}"
        if what == "log":
            clone.log(artifact, f"content {at}")
            team.logged.add((artifact, an_id(f"content {at}")))
        elif what == "log same":
            clone.log(artifact, f"common {which % 3}")
        elif what in ("pull", "push"):
            team.sync(clone, push=what == "push")
        elif numbers:
            number = numbers[which % len(numbers)]
            word = clone.refs[f"{base}/v{number}"]["artifact"]
            if what == "delete":
                team.deleted.add((artifact, clone.delete(artifact, number)))
            elif what == "alias":
                clone.alias(artifact, f"of-{clone.name}", number)
                team.owned[artifact, f"of-{clone.name}"] = word
            else:
                clone.alias(artifact, "best", number)
    for clone in [*team.clones, *team.clones]:
        team.sync(clone, push=True)
    for clone in team.clones:
        team.sync(clone, push=False)
        assert clone.refs == team.hub
    for artifact, word in team.logged - team.deleted:
        assert word in contents(team.hub, artifact).values()
    for (artifact, alias), word in team.owned.items():
        if (artifact, word) not in team.deleted:
            assert contents(team.hub, artifact)[alias] == word


@given(st.lists(STEPS, max_size=12), st.lists(STEPS, max_size=12), st.lists(STEPS, max_size=12))
def test_where_the_sides_touch_different_artifacts_the_merge_commutes(common, left, right):
    sides = []
    for own, artifact in ((left, "data"), (right, "net")):
        team = Team(1)
        for at, step in enumerate([*common, *((0, artifact, *rest) for _, _, *rest in own)]):
            if at == len(common):
                team.clones[0].base = dict(team.clones[0].refs)
            act(team.clones[0], at if at < len(common) else f"{artifact} {at}", step)
        sides.append(team.clones[0])
    base = sides[0].base if left else sides[1].base if right else sides[0].refs
    one, other = sides[0].refs, sides[1].refs
    found = merge(one, other, base)
    assert found.refs == merge(other, one, base).refs
    assert found.renumbered == found.clashes == []
    for ref in one.keys() | other.keys():
        if one.get(ref) == other.get(ref):
            assert found.refs.get(ref) == one.get(ref)
        else:
            assert found.refs.get(ref) == (other if one.get(ref) == base.get(ref) else one).get(ref)


def act(clone: Clone, at: object, step: tuple) -> None:
    _, artifact, what, which = step
    numbers = clone.numbers(artifact)
    if what.startswith("log"):
        clone.log(artifact, f"common {which % 3}" if what == "log same" else f"content {at}")
    elif numbers and what == "delete":
        clone.delete(artifact, numbers[which % len(numbers)])
    elif numbers:
        clone.alias(artifact, "best", numbers[which % len(numbers)])


@given(st.lists(STEPS, max_size=20))
def test_merging_with_oneself_or_again_changes_nothing(steps):
    clone = Clone("one")
    for at, step in enumerate(steps):
        act(clone, at, step)
    assert merge(clone.refs, clone.refs, {}) == Merged(refs=clone.refs)
    assert merge(clone.refs, {}, {}).refs == merge({}, clone.refs, {}).refs == clone.refs


# -- refs from elsewhere ------------------------------------------------------------------------------------

SOUND = artifact("a", "b", best=0) | {f"runs/{P}/r1": run("c")}


def test_refs_that_artvc_writes_are_sound():
    check(SOUND)
    check({f"uploads/{P}/{N}/x": {"parts": [], "type": "t"}})
    check({f"artifacts/{P}/shelf/v0": version("a", linked="2026", source=f"{P}/{N}/v0")})


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ("artifacts/../data/v0", version("a")),
        ("artifacts/p/../v0", version("a")),
        ("artifacts/p/da ta/v0", version("a")),
        ("artifacts/p/-data/v0", version("a")),
        ("artifacts/p/data", version("a")),
        ("artifacts/p/data/v00", version("a")),
        ("artifacts/p/data/v0", {"artifact": an_id("a")}),
        ("artifacts/p/data/v0", {"artifact": "short", "commit": an_id("a")}),
        ("artifacts/p/data/v0", {"artifact": an_id("a").upper(), "commit": an_id("a")}),
        ("artifacts/p/data/v0", version("a", source="p/data")),
        ("artifacts/p/data/v0", version("a", source=5)),
        ("artifacts/p/data/v0", version("a", source="../data/v0")),
        ("artifacts/p/data/a:b", {"version": 0}),
        ("artifacts/p/data/a\u202eb", {"version": 0}),
        ("artifacts/p/data/best", {"version": -1}),
        ("artifacts/p/data/best", {"version": True}),
        ("artifacts/p/data/best", {"version": "0"}),
        ("artifacts/p/data/best", {}),
        ("properties/p/data/v0", {"id": "x"}),
        ("properties/p/data/best", {"id": an_id("a")}),
        ("collections/p/data", {"next": 0}),
        ("collections/p/data", {"next": 1 << 60, "type": "t"}),
        ("collections/p/data", {"next": 1.5, "type": "t"}),
        ("collections/p/data", {"next": 0, "type": "a\x1b[31m"}),
        ("collections/p/data", {"next": 0, "type": "t", "description": 5}),
        ("collections/p/data", {"next": 0, "type": "t", "tags": "x"}),
        ("collections/p/data", {"next": 0, "type": "t", "tags": ["a\nb"]}),
        ("collections/p/data/more", {"next": 0, "type": "t"}),
        ("runs/p/../x", run("c")),
        ("runs/p/r1", {"commit": an_id("c")}),
        ("runs/p/r1", {**run("c"), "name": 5}),
        ("runs/p/r1", {**run("c"), "commit": None}),
    ],
)
def test_refs_that_nobody_writes_are_refused(ref, value):
    with pytest.raises(Damaged, match="malformed"):
        check({ref: value})
