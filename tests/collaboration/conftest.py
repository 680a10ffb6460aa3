from __future__ import annotations

from pathlib import Path

import pytest
from deals import Clock, make_desk

from tandem.collaboration.desk import Desk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Desk:
    return make_desk(tmp_path / "collaborations.sqlite", clock)
