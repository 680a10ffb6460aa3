"""Stored events are read through an `EventReader`, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tandem"
# The store itself, governance, and the rights of a person, which need no purpose of the shop's.
MAY = ("storage/events.py", "governance/", "flows/rights.py")


def ways_around(source: str) -> list[int]:
    """Lines that call `reading()` on an `EventStore`."""
    tree = ast.parse(source)
    stores = {"EventStore"}
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        made = isinstance(value, ast.Call) and ast.unparse(value.func).endswith("EventStore")
        if made and isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stores |= {ast.unparse(target) for target in targets}
        given = node.optional_vars if isinstance(node, ast.withitem) else None
        if given is not None and "EventStore(" in ast.unparse(node.context_expr):
            stores.add(ast.unparse(given))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "reading":
            owner = ast.unparse(node.value)
            if owner in stores or "EventStore(" in owner:
                found.append(node.lineno)
    return found


def test_no_module_reads_events_around_the_reader():
    found = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if not str(path.relative_to(SOURCE)).startswith(MAY)
        and (lines := ways_around(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "read through tandem.governance.reading.EventReader, for a purpose"


@pytest.mark.parametrize(
    "source",
    [
        "store = EventStore(layout)\nwith store.reading() as s: pass",
        "with EventStore(layout).reading() as s: pass",
        "class A:\n def f(self):\n  self.store = EventStore(x)\n  self.store.reading()",
        "with closing(EventStore(layout)) as store:\n  store.reading()",
        "read = events.EventStore(layout).reading",
    ],
)
def test_a_way_around_is_seen(source):
    assert ways_around(source)


def test_a_reader_is_no_way_around():
    assert not ways_around("reader = EventReader(layout, p, actor=a)\nreader.reading()")
