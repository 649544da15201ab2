"""The arithmetic of planes and differences, with numpy and without: the same bytes."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.store import planes


@pytest.fixture(params=["numpy", "without"])
def _either(request, monkeypatch):
    if request.param == "numpy":
        pytest.importorskip("numpy")  # imported, it is used at once
    else:
        monkeypatch.setattr(planes, "_numpy", lambda _: None)


@pytest.mark.usefixtures("_either")
def test_planes_are_the_bytes_by_significance():
    assert [bytes(one) for one in planes.split(b"abcdefgh", 4)] == [b"ae", b"bf", b"cg", b"dh"]
    assert bytes(planes.join([b"ae", b"bf", b"cg", b"dh"], 4)) == b"abcdefgh"


@pytest.mark.usefixtures("_either")
def test_differences_are_folded():
    base = struct.pack("<5H", 0, 5, 5, 5, 65535)
    new = struct.pack("<5H", 0, 6, 4, 3, 0)
    assert struct.unpack("<5H", planes.difference(new, base, 2)) == (0, 2, 1, 3, 2)
    assert bytes(planes.sum_of(base, planes.difference(new, base, 2), 2)) == new


@given(st.sampled_from([2, 4, 8]), st.data())
def test_both_ways_agree_and_come_back(width, data):
    pytest.importorskip("numpy")
    edge = st.sampled_from([0, 1, (1 << 8 * width - 1) - 1, 1 << 8 * width - 1, (1 << 8 * width) - 1])
    number = edge | st.integers(0, (1 << 8 * width) - 1)
    count = data.draw(st.integers(1, 30))
    old, new = (
        b"".join(one.to_bytes(width, "little") for one in data.draw(st.lists(number, min_size=count, max_size=count)))
        for _ in range(2)
    )
    with_numpy = [bytes(one) for one in (*planes.split(new, width), planes.difference(new, old, width))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "_numpy", lambda _: None)
        without = [bytes(one) for one in (*planes.split(new, width), planes.difference(new, old, width))]
        assert with_numpy == without
        assert bytes(planes.join(without[:width], width)) == new
        assert bytes(planes.sum_of(old, without[-1], width)) == new
    assert bytes(planes.join(with_numpy[:width], width)) == new
    assert bytes(planes.sum_of(old, with_numpy[-1], width)) == new


def test_numpy_is_not_imported_for_little(tmp_path):
    code = """
import os, sys
from artvc.store import planes
data = os.urandom(1 << 20)
for _ in range(planes._PATIENCE >> 20):
    assert "numpy" not in sys.modules
    planes.split(data, 4)
print("numpy" in sys.modules)
"""
    pytest.importorskip("numpy")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
