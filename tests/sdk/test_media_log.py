"""What ``Run.log`` makes of media: alone, in lists and dicts, in any number, and through ``kill -9``."""

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artvc
from artvc.errors import InvalidInput
from artvc.model import merkle
from artvc.repo import Repository
from artvc.sdk import leftovers
from artvc.sdk import run_files as sdk_run_files
from artvc.store.ingest import Ingest
from tests.sdk.conftest import ROOT
from tests.sdk.test_media import decode
from tests.sdk.test_media_artifact import there_and_back


def test_media_in_nested_dicts_and_lists_are_kept(logged, run_files):
    value = {
        "one": artvc.Image([[1]]),
        "deep": {"list": [artvc.Image([[2]]), artvc.Image([[3]], caption="c")], "number": 4},
        "mixed": [artvc.Image([[5]]), 6, artvc.Html("x"), [artvc.Histogram([1], num_bins=1)]],
        7: "text",
    }
    with artvc.init(project="p"):
        artvc.log({"v": value})
        assert artvc.summary["v"]["deep"]["number"] == 4
    (row,) = logged()
    made = row["v"]
    files = run_files()
    assert made["one"]["path"].startswith("media/images/v.one_0_") and made["one"]["path"] in files
    assert made["deep"]["list"]["_type"] == "images/separated" and made["deep"]["list"]["captions"] == [None, "c"]
    assert made["deep"]["list"]["filenames"][0].startswith("media/images/v.deep.list_0_")
    assert [one if isinstance(one, int) else one["_type"] for one in made["mixed"][:3]] == [
        "image-file",
        6,
        "html-file",
    ]
    assert made["mixed"][3] == [{"_type": "histogram", "values": [1], "bins": [0.5, 1.5]}]
    assert made["7"] == "text"


def test_more_than_108_images_a_step_are_all_kept(logged, run_files):
    with artvc.init(project="p"):
        artvc.log({"many": [artvc.Image([[n % 256, n // 256]]) for n in range(300)]})
    (row,) = logged()
    assert row["many"]["count"] == 300 == len(set(row["many"]["filenames"]))
    files = run_files()
    assert [decode(files[name])[1] for name in row["many"]["filenames"]][299] == bytes([43, 1])


def test_lists_of_tables_are_tables(logged):
    with artvc.init(project="p") as run:
        artvc.log({"t": [artvc.Table(columns=["a"], data=[[n]]) for n in range(2)]})
        assert run.use_artifact(f"run-{run.id}-t.1").get_entry("t.1.table.json").size
    (row,) = logged()
    assert [one["_type"] for one in row["t"]] == ["table-file"] * 2


def test_an_equal_image_is_kept_once(run_files):
    with artvc.init(project="p"):
        artvc.log({"i": [artvc.Image([[1]])] * 5})
    assert len([path for path in run_files() if path.startswith("media/")]) == 1


def test_a_disabled_run_keeps_no_media():
    with artvc.init(project="p", mode="disabled"):
        artvc.log({"i": artvc.Image([[1]]), "t": artvc.Table(), "deep": {"i": artvc.Image([[1]])}, "n": 1})
        assert dict(artvc.summary) == {"n": 1}


def test_a_value_that_can_not_be_kept_leaves_the_row_as_it_was(logged):
    table = artvc.Table(columns=["a"])
    table.data.append([1, 2])
    with artvc.init(project="p"):
        artvc.log({"n": 1}, commit=False)
        with pytest.raises(InvalidInput):
            artvc.log({"m": 2, "t": table})
        artvc.log({"o": 3})
    assert logged() == [{"_step": 0, "n": 1, "o": 3}]


def test_a_value_that_contains_itself_is_refused_at_once(logged):
    loop = {}
    loop["a"] = loop["b"] = [loop, loop]
    with artvc.init(project="p"):
        with pytest.raises(InvalidInput, match="nested deeper"):
            artvc.log({"loop": loop})
        artvc.log({"n": 1})
    assert logged() == [{"_step": 0, "n": 1}]


def test_odd_keys_of_tables_make_artifacts_with_plain_names():
    with artvc.init(project="p") as run:
        for key, name in (("a/b c", "abc"), ("..", "table"), ("é", "table"), ("-x", "x"), ("y" * 300, "y" * 115)):
            artvc.log({key: artvc.Table(columns=["a"], data=[[key]])})
            found = run.use_artifact(f"run-{run.id}-{name}")
            assert [path for path in found.manifest if path.endswith(".table.json")]


def test_what_was_logged_survives_kill_9(desk, run_files):
    code = """
import os, time, artvc
run = artvc.init(project="p", id="killed")
artvc.log({"image": artvc.Image([[7]]), "table": artvc.Table(columns=["a"], data=[[1]])})
artvc.log({"html": [artvc.Html("x")]})
time.sleep(1.1)
artvc.log({"n": 1})
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    here = desk / ".artvc" / "runs" / "killed"
    rows = [json.loads(line) for line in (here / "history.jsonl").read_text().splitlines()]
    assert rows[0]["image"]["_type"] == "image-file" and rows[1]["html"]["count"] == 1
    for path in (rows[0]["image"]["path"], rows[0]["table"]["path"], rows[1]["html"]["filenames"][0]):
        assert (here / path).stat().st_size
    with artvc.init(project="q") as run:
        assert run.use_artifact("p/run-killed-table:latest").type == "run_table"


BLOCKED = """
import sys
for name in ("numpy", "torch", "PIL", "pandas", "matplotlib", "imageio", "plotly"):
    sys.modules[name] = None
import artvc
with artvc.init(project="p") as run:
    table = artvc.Table(columns=["i", "n"], data=[[artvc.Image([[1]]), 1.5]])
    artvc.log({
        "image": artvc.Image([[[[0.0, 1.0], [1.0, 0.0]]] * 2], boxes={"b": {"box_data": []}}),
        "batch": artvc.Image([[[[1, 2, 3]]], [[[4, 5, 6]]]]),
        "mask": artvc.Image([[1]], masks={"m": {"mask_data": [[1]]}}, file_type="bmp"),
        "table": table,
        "histogram": artvc.Histogram([1, 2, 3]),
        "html": artvc.Html("x"),
        "audio": artvc.Audio([0.0, 1.0], 8000),
        "points": artvc.Object3D([[1, 2, 3]]),
        "plotly": artvc.Plotly({"data": []}),
        "roc": artvc.plot.roc_curve([0, 1], [[0.9, 0.1], [0.2, 0.8]]),
    })
    print(sorted(artvc.summary))
"""


def test_every_kind_of_media_is_logged_without_any_other_library(script):
    made = script(BLOCKED)
    assert made.returncode == 0, made.stderr
    assert len(json.loads(made.stdout.replace("'", '"'))) == 10


def test_importing_artvc_loads_none_of_the_libraries_that_media_come_from(script):
    code = "import sys, artvc; artvc.Image, artvc.Table, artvc.Video, artvc.plot\n"
    code += "print({n.partition('.')[0] for n in sys.modules} & {'numpy', 'torch', 'PIL', 'pandas', 'matplotlib'})"
    assert script(code).stdout == "set()\n"


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda channels: st.integers(1, 5).flatmap(
            lambda width: st.lists(
                st.lists(
                    st.lists(st.integers(0, 255), min_size=channels, max_size=channels), min_size=width, max_size=width
                ),
                min_size=1,
                max_size=5,
            )
        )
    ),
    st.none() | st.text(max_size=20),
    st.dictionaries(st.integers(0, 255), st.text(max_size=5), min_size=1, max_size=3),
)
def test_any_image_comes_back_equal(picture, caption, labels):
    mask = [[pixel[0] for pixel in row] for row in picture]
    image = artvc.Image(picture, caption=caption, masks={"m": {"mask_data": mask, "class_labels": labels}})
    back = there_and_back(image)
    assert back == image and back.caption == caption
    assert set(labels.items()) <= set(back.classes.labels.items())


def test_n_pictures_are_not_listed_in_each_of_n_commits(monkeypatch, run_files):
    monkeypatch.setattr(sdk_run_files, "MEDIA_IN_EVERY_COMMIT", 8)
    looked: list[int] = []
    below = sdk_run_files.below

    def counted(root, top):
        found = below(root, top)
        looked.append(len(found) if top == "media" else 0)
        return found

    monkeypatch.setattr(sdk_run_files, "below", counted)
    with artvc.init(project="p"):
        for number in range(60):
            artvc.log({"t": artvc.Table(columns=["a"], data=[[number]])})
    assert sum(looked) < 60 * 8  # 60 * 60 / 2 if each commit lists all
    assert len([path for path in run_files() if path.startswith("media/")]) == 60


def test_what_a_commit_holds_is_not_asked_for_again(monkeypatch, desk, run_files):
    (desk / "big").write_bytes(os.urandom(300_000))
    asked: list[object] = []
    has = Ingest.has
    with artvc.init(project="p") as run:
        run.save("big")
        run.log({"i": artvc.Image([[1]])})
        run.log_artifact("big", name="first", type="t")
        monkeypatch.setattr(Ingest, "has", lambda self, content: asked.append(content) or has(self, content))
        run.log_artifact("big", name="second", type="t")
    assert asked == []
    files = run_files()
    assert files["saved/big"] == (desk / "big").read_bytes()
    assert len([path for path in files if path.startswith("media/")]) == 1


def test_pictures_that_no_commit_holds_yet_survive_sigkill(desk):
    code = """
import os, signal, artvc
from artvc.sdk import run_files
run_files.MEDIA_IN_EVERY_COMMIT = 1
run = artvc.init(project="p", id="x")
for number in range(9):
    run.log({"i": artvc.Image([[number]])})
    run.save("run.py")
os.kill(os.getpid(), signal.SIGKILL)
"""
    (desk / "code").mkdir()
    (desk / "code" / "run.py").write_text(code)
    child = subprocess.run(
        [sys.executable, "run.py"],
        cwd=desk / "code",
        env={**os.environ, "PYTHONPATH": str(ROOT), "ARTVC_DIR": str(desk)},
        capture_output=True,
        text=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    with Repository.open(desk) as repo:
        left = leftovers.find(repo, "x")
        assert left is not None
        files = dict(merkle.walk(leftovers.recover(repo, left).commit.files, repo.objects.get))
    assert len([path for path in files if path.startswith("media/")]) == 9
