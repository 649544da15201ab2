"""What tests of remotes share."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.remotes.conformance")

from tests.remotes.conformance import Maker  # noqa: E402 -- rewritten from here on


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "made")
