"""The update journal: what was acknowledged is there, whatever happened to the writer."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Money, Product
from tandem.storage.updates import Update, UpdateJournal

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
products = st.builds(
    Product,
    id=text.filter(lambda t: t.strip()),
    title=text,
    category=st.lists(text, max_size=3).map(tuple),
    attributes=st.dictionaries(text, st.booleans() | finite | text, max_size=4),
    price=st.none()
    | st.builds(
        Money,
        amount=st.decimals(0, 10_000, places=2, allow_nan=False),
        currency=st.sampled_from(["EUR", "JPY"]),
    ),
    rating=st.none() | st.floats(0, 5),
    created=st.none() | st.datetimes(timezones=st.just(UTC)),
    extra=st.dictionaries(text, st.integers() | text, max_size=2).filter(
        lambda e: all(not isinstance(v, int) or abs(v) < 2**53 for v in e.values())
    ),
)


def product(number: int) -> Product:
    return Product(id=f"p{number}", title=f"Product {number}", created=datetime(2026, 1, 1, 12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "updates.jsonl"


def three(path: Path) -> bytes:
    UpdateJournal(path).append([("p1", product(1)), ("p2", product(2)), ("p1", None)])
    return path.read_bytes()


@settings(max_examples=50, deadline=None)
@given(states=st.lists(st.none() | products, min_size=1, max_size=4))
def test_any_product_comes_back_as_it_was(
    states: list[Product | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "updates.jsonl"
    operations = [(p.id if p else "gone", p) for p in states]
    assert UpdateJournal(path).append(operations) == len(states)
    expected = [Update(i, name, p) for i, (name, p) in enumerate(operations, 1)]
    assert UpdateJournal(path).since(0) == expected


def test_entries_since_a_sequence_and_of_other_writers(path: Path) -> None:
    ours, theirs = UpdateJournal(path), UpdateJournal(path)
    assert (ours.since(0), ours.last_sequence()) == ([], 0)
    assert ours.append([("p1", product(1))]) == 1
    assert theirs.append([("p2", product(2)), ("p1", None)]) == 3
    assert ours.append([("p3", product(3))]) == 4
    assert [(u.sequence, u.product_id) for u in theirs.since(1)] == [
        (2, "p2"),
        (3, "p1"),
        (4, "p3"),
    ]
    assert theirs.since(4) == []


def test_writers_side_by_side_lose_nothing(path: Path) -> None:
    def write(writer: int) -> None:
        journal = UpdateJournal(path)
        for i in range(20):
            journal.append([(f"{writer}-{i}", product(i))])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    entries = UpdateJournal(path).since(0)
    assert [u.sequence for u in entries] == list(range(1, 81))
    assert {u.product_id for u in entries} == {f"{w}-{i}" for w in range(4) for i in range(20)}


def test_a_line_torn_anywhere_is_cut_off(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = three(path)
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert [u.sequence for u in UpdateJournal(path).since(0)] == [1, 2]
        assert path.read_bytes() == whole[:cut]  # a reader leaves what a writer may be writing
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert UpdateJournal(path).append([("p9", product(9))]) == 3
        assert "torn last line" in caplog.text
        assert [u.product_id for u in UpdateJournal(path).since(0)] == ["p1", "p2", "p9"]


def test_damage_further_up_is_an_error_that_says_where(path: Path) -> None:
    whole = three(path)
    start = whole.index(b"\n") + 1
    for at in (start, start + 9, start + 30):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        for use in (
            lambda: UpdateJournal(path).since(0),
            lambda: UpdateJournal(path).append([("p9", None)]),
        ):
            with pytest.raises(InvalidInput, match="checksum") as raised:
                use()
            assert (raised.value.file, raised.value.line) == (str(path), 2)
            assert raised.value.remedy


def test_a_product_of_another_version_is_an_error_that_says_where(path: Path) -> None:
    from zlib import crc32

    three(path)
    body = orjson.dumps([4, "p4", {"id": "p4", "title": "x", "stock": -1}])
    with path.open("ab") as handle:
        handle.write(b"%08x %s\n" % (crc32(body), body))
    with pytest.raises(InvalidInput, match="stock") as raised:
        UpdateJournal(path).since(0)
    assert raised.value.line == 4


def test_a_full_disk_leaves_nothing_half_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = three(path)
    journal = UpdateJournal(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.append([("p9", product(9))])
    assert path.read_bytes() == whole
    assert journal.append([("p4", product(4))]) == 4
    assert [u.product_id for u in UpdateJournal(path).since(2)] == ["p1", "p4"]


@pytest.mark.parametrize("through", [0, 1, 2, 3])
def test_dropped_entries_keep_the_sequence(path: Path, through: int) -> None:
    three(path)
    reader = UpdateJournal(path)
    reader.since(0)
    UpdateJournal(path).drop_through(through)
    assert [u.sequence for u in reader.since(0)] == [1, 2, 3][min(through, 2) :]
    assert UpdateJournal(path).append([("p9", None)]) == 4
    assert reader.last_sequence() == 4
