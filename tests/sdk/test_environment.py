"""Settings, and the variables of the environment."""

import pytest

import artvc
from artvc.errors import InvalidType
from artvc.sdk import environment


@pytest.mark.parametrize("settings", [dict, artvc.Settings], ids=["dict", "Settings"])
def test_settings_stand_for_arguments_that_are_not_given(settings, desk):
    given = settings(
        project="sp", run_id="sid", run_name="sn", run_group="sg", run_job_type="sj", run_notes="words",
        run_tags=["t"], root_dir=str(desk / "there"), mode="offline", start_method="thread", _disable_stats=True,
    )  # fmt: skip
    with artvc.init(settings=given, name="argument") as run:
        got = (run.project, run.id, run.name, run.group, run.job_type, run.notes, run.tags, run.offline)
        assert got == ("sp", "sid", "argument", "sg", "sj", "words", ("t",), True)
        assert run.settings.start_method == "thread" and run.settings.never_set is None
    assert (desk / "there" / ".artvc").is_dir()


def test_settings_of_setup_hold_until_teardown():
    assert artvc.setup(settings=artvc.Settings(run_job_type="kept")).settings.run_job_type == "kept"
    run = artvc.init()
    assert run.job_type == "kept"
    artvc.teardown()
    assert run.state == "finished" and artvc.run is None
    with artvc.init() as run:
        assert run.job_type == ""


def test_settings_that_are_none_are_refused():
    with pytest.raises(InvalidType, match="settings"):
        artvc.init(settings=7)


def test_settings_are_a_mapping_with_attributes():
    settings = artvc.Settings(a=1)
    settings.b = 2
    settings["c"] = 3
    del settings["a"]
    assert dict(settings) == {"b": 2, "c": 3} and len(settings) == 2
    assert repr(settings) == "Settings(b=2, c=3)"


@pytest.mark.parametrize("ask", ["setting", "ARTVC_SILENT", "WANDB_SILENT"])
def test_silence(ask, monkeypatch, capsys):
    if ask != "setting":
        monkeypatch.setenv(ask, "true")
    with artvc.init(project="p", settings={"silent": True} if ask == "setting" else None):
        artvc.log({"a": 1})
        artvc.termlog("words")
    assert capsys.readouterr() == ("", "")
    environment.hush(False)


def test_quiet_finish_says_nothing(capsys):
    run = artvc.init(project="p")
    capsys.readouterr()
    run.finish(quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", ["online", "offline", "shared", "dryrun"])
def test_modes_that_record(mode, last):
    with artvc.init(project="p", mode=mode) as run:
        assert not run.disabled
    assert last().run_id == run.id


def test_entity_and_artvcs_variable_goes_before_wandbs(monkeypatch):
    monkeypatch.setenv("WANDB_ENTITY", "them")
    monkeypatch.setenv("WANDB_PROJECT", "wp")
    monkeypatch.setenv("ARTVC_PROJECT", "ap")
    with artvc.init() as run:
        assert (run.entity, run.project) == ("them", "ap")


def test_arguments_without_effect_are_named_in_one_warning(capsys):
    with artvc.init(project="p", fork_from="a?_step=1", sync_tensorboard=True, force=True, save_code=True):
        pass
    said = capsys.readouterr().err
    assert said.count("without effect here: fork_from, sync_tensorboard") == 1
    assert "save_code" not in said


def test_footer_shows_summary_and_history_but_no_hidden_key(capsys):
    with artvc.init(project="p") as run:
        run.define_metric("secret", hidden=True)
        run.define_metric("acc", summary="max")
        run.log({"acc": 0.123456789})
        for n in range(10):
            artvc.log({"loss": 10 - n, "secret": n})
        artvc.log({"picture": artvc.Image([[0, 1]])})
    said = capsys.readouterr().err
    assert "loss \N{FULL BLOCK}" in said and "\N{LOWER ONE EIGHTH BLOCK}" in said
    assert "loss 1\n" in said and "acc.max 0.12346\n" in said
    assert "secret" not in said and "picture" not in said


def test_settings_of_a_run_tell_what_became_of_it(desk):
    with artvc.init(project="p", id="r1", name="n", group="g", job_type="j", tags=["t"], settings={"x": 1}) as run:
        told = run.settings
        assert (told.project, told.run_id, told.run_name, told.run_group) == ("p", "r1", "n", "g")
        assert (told.run_job_type, told.run_tags, told.mode, told.x) == ("j", ("t",), "online", 1)
        assert (told.root_dir, told.files_dir, told.sync_dir) == (str(desk), run.dir, run.sync_dir)
