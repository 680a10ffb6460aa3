"""Merchants' targets: one small file, replaced as a whole under a lock."""

from __future__ import annotations

import fcntl
import json

from pydantic import TypeAdapter, ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.seller import Target
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

_TARGETS = TypeAdapter(tuple[Target, ...])


def load_targets(layout: Layout) -> tuple[Target, ...]:
    """Every target that was set; none before the first."""
    if not layout.targets.exists():
        return ()
    try:
        return _TARGETS.validate_python(json.loads(layout.targets.read_bytes())["targets"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InvalidInput(
            f"not a list of targets ({type(error).__name__})",
            file=str(layout.targets),
            remedy="restore it from a backup, or remove it and set the targets anew",
        ) from None


def save_target(layout: Layout, target: Target) -> None:
    """Set a target, in place of the one for the same merchant, month and indicator; one without a
    value only takes that away."""
    layout.targets.parent.mkdir(exist_ok=True)
    with (layout.targets.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = [t for t in load_targets(layout) if _key(t) != _key(target)]
        added = () if target.value is None else (target,)
        everything = [t.model_dump(mode="json") for t in (*kept, *added)]
        write_json_atomic(layout.targets, {"targets": everything})


def _key(target: Target) -> tuple[str, str, str]:
    return target.merchant, target.period, target.indicator
