"""Time to live: page 5, "What wandb tests" 27."""

from datetime import datetime, timedelta

import pytest

import artvc
from artvc import ArtifactTTL
from artvc.errors import ArtifactNotLoggedError


def draft(text="1"):
    artifact = artvc.Artifact("data", "dataset")
    with artifact.new_file("f", "w") as file:
        file.write(text)
    return artifact


def log(artifact):
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact)


def fetched():
    with artvc.init(project="p") as run:
        return run.use_artifact("data")


def test_unset_on_a_draft_is_an_error():
    artifact = draft()
    with pytest.raises(ArtifactNotLoggedError, match="Artifact.ttl"):
        artifact.ttl  # noqa: B018
    artifact.ttl = timedelta(days=1)
    assert artifact.ttl == timedelta(days=1)
    artifact.ttl = ArtifactTTL.INHERIT
    with pytest.raises(ArtifactNotLoggedError):
        artifact.ttl  # noqa: B018


def test_ttl_is_kept_and_says_when_it_ends():
    artifact = draft()
    artifact.ttl = timedelta(days=30)
    log(artifact)
    found = fetched()
    assert found.ttl == timedelta(days=30)
    assert datetime.fromisoformat(found.expires_at) - datetime.fromisoformat(found.created_at) == timedelta(days=30)


def test_none_and_inherit_keep_for_ever():
    for value in (None, ArtifactTTL.INHERIT):
        artifact = log(draft())
        artifact.ttl = timedelta(hours=1)
        artifact.save()
        assert fetched().ttl == timedelta(hours=1)
        artifact.ttl = value
        artifact.save()
        assert fetched().ttl is None and fetched().expires_at is None


@pytest.mark.parametrize("bad", [timedelta(days=-1), timedelta(0), timedelta(microseconds=5)])
def test_negative_is_refused(bad):
    artifact = draft()
    with pytest.raises(ValueError, match="ttl"):
        artifact.ttl = bad


def test_what_is_no_time_is_refused():
    with pytest.raises(TypeError, match="timedelta"):
        draft().ttl = 30


def test_new_draft_has_none():
    artifact = draft()
    artifact.ttl = timedelta(days=1)
    again = log(artifact).new_draft()
    with pytest.raises(ArtifactNotLoggedError):
        again.ttl  # noqa: B018
