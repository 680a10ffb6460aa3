"""What all that runs in a server has: a name, a state, and a record of who changed it and why."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from tandem.contracts.search import Frozen

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
State = Literal["running", "stopped"]


class Change(Frozen):
    """What somebody did to an experiment or a slot."""

    at: datetime
    who: str
    what: str
    why: str
