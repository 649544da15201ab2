"""Point clouds, 3D objects, molecules and figures of plotly: files with a record."""

import io
import json

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType
from tests.sdk.test_media_artifact import there_and_back


def test_points_become_a_json_file():
    for points in ([[1, 2, 3]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6.5]] * 2, []):
        made = artvc.Object3D(points)
        assert made.suffix == ".pts.json" and json.loads(made.data) == points
        assert there_and_back(made) == made
    for bad in ([[1, 2]], [[1, 2, 3], [1, 2, 3, 4]], [1]):
        with pytest.raises(InvalidInput, match="points have"):
            artvc.Object3D(bad)
    with pytest.raises(InvalidType):
        artvc.Object3D(3)


def test_points_of_numpy():
    numpy = pytest.importorskip("numpy")
    points = numpy.arange(6).reshape(2, 3)
    assert artvc.Object3D(points) == artvc.Object3D.from_numpy(points.tolist())
    scene = artvc.Object3D({"type": "lidar/beta", "points": points, "boxes": numpy.array([{"label": "x"}])})
    assert json.loads(scene.data)["boxes"] == [{"label": "x"}]


def test_scenes_are_dicts():
    scene = artvc.Object3D.from_point_cloud(points=[[0, 0, 0]], boxes=[{"label": "x"}], vectors=[])
    assert json.loads(scene.data) == {
        "type": "lidar/beta", "points": [[0, 0, 0]], "boxes": [{"label": "x"}], "vectors": [],
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="lidar"):
        artvc.Object3D({"type": "x"})


def test_objects_and_molecules_from_files(desk, logged, run_files):
    for name in ("a.obj", "b.PDB", "c.pts.json", "d.zip"):
        (desk / name).write_bytes(name.encode())
    things = [artvc.Object3D("a.obj"), artvc.Object3D(desk / "c.pts.json", caption="c")]
    with artvc.init(project="p"):
        artvc.log({"o": things[0], "os": things, "m": artvc.Molecule("b.PDB"), "ms": [artvc.Molecule("b.PDB")]})
    (row,) = logged()
    files = run_files()
    assert row["o"]["_type"] == "object3D-file" and files[row["o"]["path"]] == b"a.obj"
    assert row["m"]["_type"] == "molecule-file" and row["m"]["path"].endswith(".pdb")
    assert (row["os"]["_type"], len(row["os"]["objects"])) == ("object3D", 2)
    assert (row["ms"]["_type"], row["ms"]["count"]) == ("molecule", 1)
    assert artvc.Object3D.from_file(io.StringIO("x"), "obj").data == b"x"
    assert artvc.Molecule(io.BytesIO(b"x"), file_type="pdb").suffix == ".pdb"
    for bad in ("d.zip", "none.obj"):
        with pytest.raises(InvalidInput):
            artvc.Object3D(bad)
    for make in (lambda: artvc.Molecule("a.obj"), lambda: artvc.Molecule(io.StringIO("x"))):
        with pytest.raises(InvalidInput):
            make()
    with pytest.raises(InvalidType):
        artvc.Molecule(3)


def test_molecules_of_rdkit_and_smiles(desk):
    chem = pytest.importorskip("rdkit.Chem")
    water = artvc.Molecule.from_smiles("O", caption="water")
    assert (water.suffix, water.caption, water.data.count(b"HETATM")) == (".pdb", "water", 3)
    assert artvc.Molecule.from_smiles("O", caption="water") == water
    (desk / "a.mol").write_text(chem.MolToMolBlock(chem.MolFromSmiles("CC")))
    assert artvc.Molecule.from_rdkit("a.mol", convert_to_3d_and_optimize=False).data.count(b"HETATM") == 2
    (desk / "b.mol").write_text("nothing")
    for bad in ("b.mol", "none.mol", "a.zip"):
        with pytest.raises(InvalidInput):
            artvc.Molecule.from_rdkit(bad)
    with pytest.raises(InvalidInput, match="no SMILES"):
        artvc.Molecule.from_smiles("?")


def test_molecules_of_rdkit_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdkit.Chem", None)
    for make in (artvc.Molecule.from_smiles, artvc.Molecule.from_rdkit):
        with pytest.raises(artvc.errors.UsageError, match="needs rdkit"):
            make("O")


class Figure:
    """What a figure of plotly looks like."""

    def to_json(self):
        return '{"data": []}'


Figure.__module__ = "plotly.graph_objs"


def test_figures_of_plotly_are_kept_as_json(logged, run_files):
    with artvc.init(project="p"):
        artvc.log({"a": artvc.Plotly(Figure()), "b": Figure(), "c": [artvc.Plotly({"data": [1]})]})
    (row,) = logged()
    assert row["a"]["_type"] == row["b"]["_type"] == "plotly-file"
    assert run_files()[row["b"]["path"]] == b'{"data": []}' and row["b"]["path"].endswith(".plotly.json")
    assert row["c"]["_type"] == "plotly"
    for bad in (3, None):
        with pytest.raises(InvalidType):
            artvc.Plotly(bad)
    for bad in ("x", "[]"):
        with pytest.raises(InvalidInput):
            artvc.Plotly(bad)
