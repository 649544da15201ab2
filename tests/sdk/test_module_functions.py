"""What scripts call besides: alert, restore, watch, login, and what a run tells of itself."""

import datetime
import json

import pytest

import artvc
from artvc.errors import Error, InvalidInput, InvalidType, NotFound, UsageError


def test_login_require_and_generate_id_are_there():
    assert artvc.login() is True
    assert artvc.login(key="k", relogin=True, anonymous="never") is True
    artvc.require("core")
    assert len(artvc.util.generate_id()) == 8
    assert len(artvc.util.generate_id(16)) == 16


def test_termlog_says_and_repeats_only_where_wanted(capsys):
    artvc.termlog("hello\nworld")
    artvc.termwarn("careful", repeat=False)
    artvc.termwarn("careful", repeat=False)
    artvc.termerror("broken")
    assert capsys.readouterr().err.splitlines() == [
        "artvc: hello", "artvc: world", "artvc: warning: careful", "artvc: error: broken",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda: artvc.define_metric("a"),
        lambda: artvc.watch(None),
        lambda: artvc.unwatch(),
        lambda: artvc.alert("a", "b"),
        lambda: artvc.mark_preempting(),
    ],
)
def test_without_a_run_they_say_what_to_call(call):
    with pytest.raises(Error, match=r"You must call artvc\.init\(\)"):
        call()


def test_alert_is_printed_and_recorded_and_not_repeated(capsys, run_files):
    with artvc.init(project="p"):
        artvc.alert("disk", "nearly full", level=artvc.AlertLevel.WARN)
        artvc.alert("disk", "still", wait_duration=datetime.timedelta(hours=1))
        artvc.alert("disk", "again", wait_duration=0)
        with pytest.raises(InvalidInput, match="level"):
            artvc.alert("a", "b", level="loud")
    assert "alert (WARN): disk: nearly full" in capsys.readouterr().err
    told = [json.loads(line) for line in run_files()["alerts.jsonl"].splitlines()]
    assert [(one["text"], one["level"]) for one in told] == [("nearly full", "WARN"), ("again", "INFO")]


def test_restore_brings_back_what_a_run_saved(desk):
    (desk / "sub").mkdir()
    (desk / "sub" / "a.txt").write_text("saved")
    with artvc.init(project="p", id="first"):
        artvc.save("sub/a.txt")
    (desk / "sub" / "a.txt").write_text("edited")
    with artvc.restore("sub/a.txt", run_path="p/first") as file:
        assert file.read() == "edited"
    with artvc.restore("sub/a.txt", run_path="me/p/first", replace=True, root=".") as file:
        assert file.read() == "saved"
    with artvc.init(project="p", id="first", resume="must") as run, artvc.restore("sub/a.txt") as file:
        assert file.read() == "saved"
        assert file.name.startswith(run.dir)


def test_restore_refuses_what_is_not_there_or_leads_out(desk):
    with artvc.init(project="p", id="x") as run:
        with pytest.raises(NotFound, match="no file"):
            run.restore("missing.txt")
        with pytest.raises(NotFound, match="no run"):
            run.restore("a.txt", run_path="p/none")
        with pytest.raises(InvalidInput):
            run.restore("../a.txt")
    with pytest.raises(UsageError, match="run_path"):
        artvc.restore("a.txt")


def test_restore_writes_through_no_link(desk):
    (desk / "a.txt").write_text("saved")
    with artvc.init(project="p", id="x"):
        artvc.save("a.txt", base_path=".")
        (desk / "sub").mkdir()
        (desk / "sub" / "b.txt").write_text("b")
        artvc.save("sub/b.txt")
    (desk / "out").mkdir()
    (desk / "target").mkdir()
    (desk / "out" / "sub").symlink_to(desk / "target")
    with pytest.raises(InvalidInput, match="link"):
        artvc.restore("sub/b.txt", run_path="x", root="out")
    assert list((desk / "target").iterdir()) == []


class Tensor:
    """What watch() asks of a tensor, for one number."""

    is_sparse = False
    requires_grad = True

    def __init__(self, value):
        self.value = value
        self.hooks = []

    def detach(self):
        return self

    def float(self):
        return self

    def norm(self):
        return self

    def item(self):
        return abs(self.value)

    def register_hook(self, hook):
        self.hooks.append(hook)
        return Handle(self.hooks, hook)


class Handle:
    def __init__(self, hooks, hook):
        self.remove = lambda: hooks.remove(hook)


class Model:
    def __init__(self):
        self.weight = Tensor(-3.0)
        self.hooks = []

    def named_parameters(self):
        return [("weight", self.weight)]

    def register_forward_hook(self, hook):
        self.hooks.append(hook)
        return Handle(self.hooks, hook)

    def step(self):
        for hook in self.hooks:
            hook(self, (), None)
        for hook in self.weight.hooks:
            hook(Tensor(0.5))


def test_watch_logs_norms_with_the_rows_at_its_frequency(logged):
    model = Model()
    with artvc.init(project="p"):
        artvc.watch(model, log="all", log_freq=2)
        for n in range(3):
            model.step()
            artvc.log({"n": n})
        with pytest.raises(UsageError, match="watched already"):
            artvc.watch(model)
        artvc.unwatch(model)
        assert model.hooks == model.weight.hooks == []
        artvc.watch(model)
    assert model.weight.hooks == []
    norms = {"gradients/weight": 0.5, "parameters/weight": 3.0}
    assert logged() == [{"_step": 0, "n": 0, **norms}, {"_step": 1, "n": 1}, {"_step": 2, "n": 2, **norms}]


def test_watch_refuses_what_is_no_model():
    with artvc.init(project="p") as run:
        for given, error in (((3,), InvalidType), ((Model(), None, "all", 0), InvalidInput)):
            with pytest.raises(error):
                run.watch(*given)
        with pytest.raises(InvalidInput, match="log="):
            run.watch(Model(), log="weights")


@pytest.mark.torch
def test_watch_of_a_torch_model(logged):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 1)
    with artvc.init(project="p"):
        artvc.watch(model, log="all", log_freq=1)
        model(torch.ones(1, 2)).sum().backward()
        artvc.log({"n": 0})
    row = logged()[0]
    assert row["gradients/bias"] == 1.0
    assert row["parameters/weight"] == pytest.approx(model.weight.norm().item())


def test_run_tells_of_itself(desk):
    with artvc.init(project="p", id="x", name="n") as run:
        assert run.project_url == run.get_project_url() == "artvc run ls --project p"
        assert run.url == run.get_url()
        assert run.sync_dir == str(desk / ".artvc" / "runs" / "x")
        assert run.starting_step == 0 and run.sweep_id is None
        assert run.status().sync_items_pending == 0
        run.name = "renamed"
        run.tags += ("more",)
        assert (run.name, run.tags) == ("renamed", ("more",))


def test_display_and_html_escape_what_they_show(capsys):
    with artvc.init(project="p", name="<b>", config={"k": "<script>"}) as run:
        artvc.log({"loss": 0.25})
        assert run.display() is False
        page = run.to_html()
    assert "<script>" not in page and "&lt;script&gt;" in page and "0.25" in page
    assert "loss 0.25" in capsys.readouterr().err


def test_mark_preempting_puts_all_on_disk_at_once(desk):
    with artvc.init(project="p", id="x") as run:
        artvc.log({"a": 1})
        artvc.log({"b": 2}, commit=False)
        run.mark_preempting()
        assert json.loads((desk / ".artvc/runs/x/history.jsonl").read_text())["a"] == 1
        assert json.loads((desk / ".artvc/runs/x/state.json").read_text())["open_row"]["b"] == 2


def test_numbers_of_numpy_and_arrays_of_one_item_become_numbers(logged):
    numpy = pytest.importorskip("numpy")
    with artvc.init(project="p"):
        artvc.log({"a": numpy.float32(0.5), "b": numpy.array(2), "c": numpy.array([[3.0]]), "d": numpy.array([1, 2])})
    assert logged() == [{"_step": 0, "a": 0.5, "b": 2, "c": 3.0, "d": [1, 2]}]


@pytest.mark.torch
def test_numbers_of_torch_become_numbers(logged):
    torch = pytest.importorskip("torch")
    with artvc.init(project="p"):
        artvc.log(
            {"a": torch.tensor(0.5, requires_grad=True), "b": torch.tensor([2]), "c": torch.tensor(1.5).bfloat16()}
        )
    assert logged() == [{"_step": 0, "a": 0.5, "b": 2, "c": 1.5}]


def test_tensors_that_only_know_numpy_are_numbers_too(logged):
    numpy = pytest.importorskip("numpy")

    class Eager:
        shape = ()

        def numpy(self):
            return numpy.float32(0.25)

    with artvc.init(project="p"):
        artvc.log({"a": Eager()})
    assert logged() == [{"_step": 0, "a": 0.25}]


def test_history_gives_nan_and_infinities_back(run_files):
    from artvc.sdk import history

    with artvc.init(project="p"):
        artvc.log({"a": float("nan"), "b": float("-inf"), "c": [float("inf")]})
    data = run_files()["history.jsonl"]
    (row,) = history.rows([data[:5], data[5:]])
    assert row["a"] != row["a"] and row["b"] == float("-inf") and row["c"] == [float("inf")]
