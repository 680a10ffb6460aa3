"""What leaves the house: figures about enough people, once, and never so that two give away one.

Merchants and creators get aggregates over at least k people. Six rules:

1. A cell with fewer than k people is withheld.
2. A released report is frozen: asked for again it is the same, whatever was erased or came late
   meanwhile, so that its two versions cannot be subtracted.
3. A cell is withheld when subtracting what was released before from it (or it from that) would
   leave fewer than k people: for every released cell inside or around it, and for what all the
   released cells inside it leave over.
4. Withheld cells of one report are withheld together: if those that are left over are of fewer
   than k people, the smallest released cell joins them, since totals are released too.
5. A sum of money is withheld, and its cell's counts stay, when one person makes up more than half
   of it, or so much that who gave second most could work the first one's part out to within a
   tenth (dominance and p% rule: Hundepool et al., "Statistical disclosure control", 2012). Rules 3
   and 4 hold for sums as well: what released sums leave over is not mostly of one person either.
6. Reports whose cells cut across each other by design (the sides of trials, drawn by lot from the
   same people) are told whole or not at all, and only while every piece into which all told cells
   of that name cut the events is of nobody or of at least k people. No sum and no difference of
   any number of such cells is then of fewer.

Rules 3 and 6 are judged on events, not on people: who is in both cells may still be the only one
in the difference. Rule 3 audits single differences and remainders; auditing every combination of
many overlapping reports is NP-hard (Kleinberg, Papadimitriou and Raghavan, "Auditing boolean
attributes", 2000), and rule 6 is stricter than that would be. Against those stands noise: `noisy`,
with OpenDP.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from tandem.contracts.errors import Conflict, InvalidInput, MissingExtra
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

K = 50
EPSILON = 1.0  # of one report
BUDGET = 4.0  # of all reports to one tenant
MOST_OF_SUM = 0.5  # of a sum of money that one person may make up
CLOSEST = 0.1  # of the largest part, to which who gave second most may work it out
MOST_PER_PERSON = 20  # events of one person that noisy figures count
MONTH = "[0-9][0-9][0-9][0-9]-[0-9][0-9]"  # how SQLite's GLOB knows a period that is a month

Reason = Literal["few_people", "differencing", "with_others", "dominated"]

_TABLES = """
CREATE TABLE IF NOT EXISTS reports (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, period TEXT NOT NULL,
    epsilon REAL, report TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    report TEXT NOT NULL, key TEXT NOT NULL, units BLOB NOT NULL);
"""
_AMOUNTS = "ALTER TABLE cells ADD COLUMN amounts BLOB"  # since rule 5; null where no sum was told


@dataclass(frozen=True)
class Figures:
    """One released cell. people: how many, exactly, or None where figures are noisy."""

    key: tuple[str, ...]
    people: int | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """What one tenant may see of one period. withheld: cells left out, by reason; `dominated` ones
    lack their sum of money only.

    epsilon: privacy loss of noisy figures; None for exact ones.
    """

    name: str
    tenant: str
    period: str
    k: int
    figures: tuple[Figures, ...]
    withheld: Mapping[str, int]
    epsilon: float | None = None


@dataclass(frozen=True)
class _Cell:
    """Units are (event, person) pairs of 64-bit fingerprints, shape (n, 2); actions: of each.

    sums: totals of whole numbers over the events, by name. amounts: (n,) money of each event, where
    one of the sums is of money.
    """

    key: tuple[str, ...]
    units: NDArray[np.uint64]
    actions: NDArray[np.str_] | None = None
    sums: Mapping[str, int] = field(default_factory=dict)
    amounts: NDArray[np.int64] | None = None

    @property
    def metrics(self) -> dict[str, int]:
        """How many events of each action, and the sums."""
        import numpy as np

        names, counts = np.unique(
            self.actions if self.actions is not None else [], return_counts=True
        )
        counted = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        return {**counted, **self.sums}

    @property
    def people(self) -> int:
        import numpy as np

        return len(np.unique(self.units[:, 1]))


class Releases:
    """Reports that were released from one workspace. Safe for many threads and processes."""

    def __init__(self, layout: Layout, *, k: int = K, budget: float = BUDGET) -> None:
        if k < 2:
            raise InvalidInput(f"k = {k} hides nobody", field="k", remedy=f"use {K}, or 2 and more")
        self.file = layout.releases / "releases.db"
        self.k = k
        self.budget = budget

    def release(
        self,
        name: str,
        tenant: str,
        period: str,
        events: pa.Table,
        by: Sequence[str],
        *,
        sums: Mapping[str, str] | None = None,
        money: str | None = None,
        epsilon: float | None = None,
        crossing: bool = False,
    ) -> Report:
        """The report `name` of `period` for `tenant`: counts of each action by the columns `by`.
        Without columns it is one cell, of everything.

        events: what an `EventReader` released for analytics, cut to the tenant and the period;
        `event_key`, `client`, `action_name` and the columns of `by` are read. A person is a
        client. sums: columns of whole numbers to add up, by the name of the metric; nulls are left
        out. money: the one of them that is an amount of money; a cell where rule 5 withholds it has
        no such metric. epsilon: release noisy counts at this privacy loss instead of exact ones;
        not of sums, since nothing bounds what one person adds to them.

        Released before: the report of that time, unchanged. Raises Conflict when the tenant's
        budget does not suffice, MissingExtra when OpenDP is not there.

        crossing: rule 6 holds, beside the others, with all reports of this name.
        """
        if sums and epsilon is not None:
            raise InvalidInput(
                "sums are not released with noise",
                field="epsilon",
                remedy="release them exactly, or counts alone",
            )
        id_ = _report_id(name, tenant, period, by)
        with self._transaction() as connection:
            if found := _frozen_report(connection, id_):
                return found
            cells = _cells(events, by, sums or {}, money)
            released = _released(connection, period)
            kept, reasons = self._judged(cells, released)
            if crossing and not self._uncut(kept, cells, _told_as(connection, name)):
                reasons = {c.key: reasons.get(c.key, "differencing") for c in cells}
                kept = []
            if money is not None:
                untold = _untold(cells, kept, released)
                kept = [_without(c, money) if c.key in untold else c for c in kept]
            if epsilon is not None:
                self._spend(connection, tenant, epsilon)
                figures = noisy(kept, epsilon)
            else:
                figures = [Figures(c.key, c.people, c.metrics) for c in kept]
            withheld: dict[str, int] = {}
            for reason in reasons.values():
                withheld[reason] = withheld.get(reason, 0) + 1
            if hidden := sum(money is not None and c.amounts is None for c in kept):
                withheld["dominated"] = hidden
            report = Report(name, tenant, period, self.k, tuple(figures), withheld, epsilon)
            connection.execute(
                "INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?)",
                (id_, tenant, name, period, epsilon, _frozen(report)),
            )
            connection.executemany(
                "INSERT INTO cells (report, key, units, amounts) VALUES (?, ?, ?, ?)",
                [(id_, json.dumps(c.key), c.units.tobytes(), _bytes(c.amounts)) for c in kept],
            )
        return report

    def released(self, name: str, tenant: str, period: str, by: Sequence[str]) -> Report | None:
        """The report as it was released, without looking at events; None: it was not yet."""
        with self._transaction() as connection:
            return _frozen_report(connection, _report_id(name, tenant, period, by))

    def spent(self, tenant: str) -> float:
        """Privacy loss of all noisy reports to a tenant (basic composition: they add up)."""
        with self._transaction() as connection:
            return _spent(connection, tenant)

    def spending(self) -> list[tuple[str, int, float]]:
        """By tenant: reports that were released, and the privacy loss of the noisy ones."""
        with self._transaction() as connection:
            return connection.execute(
                "SELECT tenant, count(*), total(epsilon) FROM reports GROUP BY tenant"
                " ORDER BY tenant"
            ).fetchall()

    def forget(self, people: Sequence[str]) -> int:
        """Remove people from what is kept for rule 3; how many cells held them. Totals stay."""
        import numpy as np

        gone = fingerprints(people)
        touched = 0
        with self._transaction() as connection:
            for row, blob, sums in connection.execute(
                "SELECT rowid, units, amounts FROM cells"
            ).fetchall():
                units, amounts = _units(blob), _amounts(sums)
                stays = ~np.isin(units[:, 1], gone)
                if not stays.all():
                    touched += 1
                    left = None if amounts is None else amounts[stays]
                    connection.execute(
                        "UPDATE cells SET units = ?, amounts = ? WHERE rowid = ?",
                        (units[stays].tobytes(), _bytes(left), row),
                    )
        return touched

    def holds(self, people: Sequence[str]) -> int:
        """How many cells still know one of these people."""
        import numpy as np

        wanted = fingerprints(people)
        with self._transaction() as connection:
            blobs = connection.execute("SELECT units FROM cells").fetchall()
        return sum(bool(np.isin(_units(blob)[:, 1], wanted).any()) for (blob,) in blobs)

    def _judged(
        self, cells: Sequence[_Cell], released: Sequence[_Cell]
    ) -> tuple[list[_Cell], dict[tuple[str, ...], Reason]]:
        kept: list[_Cell] = []
        out: dict[tuple[str, ...], Reason] = {}
        left: list[_Cell] = []
        told = _Told(released)
        for cell in sorted(cells, key=lambda c: (-len(c.units), c.key)):
            if cell.people < self.k:
                out[cell.key] = "few_people"
                left.append(cell)
            elif not _differs_enough(cell, told, self._enough):
                out[cell.key] = "differencing"
                left.append(cell)
            else:
                kept.append(cell)
                told.add(cell)
        while left and kept and _people(left) < self.k:
            joined = kept.pop()
            out[joined.key] = "with_others"
            left.append(joined)
        return sorted(kept, key=lambda c: c.key), out

    def _uncut(self, kept: Sequence[_Cell], cells: Sequence[_Cell], told: Sequence[_Cell]) -> bool:
        """Rule 6: whether all cells may be told beside those that are told already."""
        import numpy as np

        if not cells or len(kept) < len(cells):
            return not cells
        units = np.unique(np.concatenate([c.units for c in (*cells, *told)]), axis=0)
        before = _pieces(np.zeros(len(units), np.int64), units, told)
        new = np.isin(units[:, 0], np.concatenate([c.units[:, 0] for c in cells]))
        # Pieces that the new cells do not touch were judged when they were told.
        touched = np.isin(before, before[new])
        after = _pieces(before, units, cells)
        people = np.unique(units[:, 1], return_inverse=True)[1]
        found = np.unique(np.stack([after, people], axis=1)[touched], axis=0)
        return bool((np.unique(found[:, 0], return_counts=True)[1] >= self.k).all())

    def _enough(self, cell: _Cell, which: NDArray[np.bool_]) -> bool:
        """Whether these events of a cell are of nobody, or of at least k people."""
        import numpy as np

        people = len(np.unique(cell.units[which, 1]))
        return people == 0 or people >= self.k

    def _spend(self, connection: sqlite3.Connection, tenant: str, epsilon: float) -> None:
        if not epsilon > 0:
            raise InvalidInput("must be over 0", field="epsilon", remedy=f"use {EPSILON}, say")
        spent = _spent(connection, tenant)
        if spent + epsilon > self.budget + 1e-9:
            raise Conflict(
                f"the privacy budget of {tenant} is {self.budget:g}, of which {spent:g} is spent",
                remedy="read the reports that were released; they stay as they are",
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(_TABLES)
            columns = connection.execute("SELECT name FROM pragma_table_info('cells')").fetchall()
            if ("amounts",) not in columns:
                connection.execute(_AMOUNTS)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()  # rolls back what was not committed


def noisy(cells: Sequence[_Cell], epsilon: float) -> list[Figures]:
    """Counts with discrete Laplace noise (OpenDP); negative ones become 0.

    At most MOST_PER_PERSON events of one person count, which bounds the sensitivity (L1). The
    guarantee, epsilon for one person, is of the counts; which cells and actions there are was
    decided by the rules above, on exact data.
    """
    try:
        import opendp.prelude as dp
    except ImportError:
        raise MissingExtra(
            "noisy figures need OpenDP", remedy="pip install 'tandem-commerce[privacy]'"
        ) from None
    if not cells:
        return []
    names = sorted({name for cell in cells for name in cell.metrics})
    counts = [cell.metrics.get(name, 0) for cell in _bounded(cells) for name in names]
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    drawn = iter(dp.m.make_laplace(*space, scale=MOST_PER_PERSON / epsilon)(counts))
    return [
        Figures(cell.key, None, {name: max(0, int(next(drawn))) for name in names})
        for cell in cells
    ]


def _bounded(cells: Sequence[_Cell]) -> list[_Cell]:
    """The cells with at most MOST_PER_PERSON events of each person, chosen by fingerprint."""
    import numpy as np

    units = np.concatenate([cell.units for cell in cells])
    order = np.lexsort((units[:, 0], units[:, 1]))
    people = units[order, 1]
    starts = np.flatnonzero(np.r_[True, people[1:] != people[:-1]])
    rank = np.arange(len(people)) - np.repeat(starts, np.diff(np.r_[starts, len(people)]))
    stays = np.zeros(len(units), bool)
    stays[order] = rank < MOST_PER_PERSON
    bounded, at = [], 0
    for cell in cells:
        mask = stays[at : at + len(cell.units)]
        at += len(cell.units)
        actions = None if cell.actions is None else cell.actions[mask]
        bounded.append(_Cell(cell.key, cell.units[mask], actions))
    return bounded


Fine = Callable[[_Cell, "NDArray[np.bool_]"], bool]
"""Whether some of a cell's events may be told together."""


class _Told:
    """Released cells by the events in them: most cells have nothing to do with each other."""

    def __init__(self, cells: Sequence[_Cell]) -> None:
        import numpy as np

        self._cells = list(cells)
        # Of what was released before: every event, sorted, beside the number of its cell.
        events = [c.units[:, 0] for c in cells]
        every = np.concatenate(events) if events else np.empty(0, np.uint64)
        order = np.argsort(every, kind="stable")
        self._events = every[order]
        self._holders = np.repeat(np.arange(len(events)), [len(e) for e in events])[order]
        self._added: dict[int, list[int]] = {}  # what joins them now, by event

    def add(self, cell: _Cell) -> None:
        for event in cell.units[:, 0].tolist():
            self._added.setdefault(event, []).append(len(self._cells))
        self._cells.append(cell)

    def near(self, cell: _Cell) -> list[_Cell]:
        """Those that share an event with `cell`, in the order in which they were released."""
        import numpy as np

        wanted = np.unique(cell.units[:, 0])
        first = np.searchsorted(self._events, wanted, "left")
        count = np.searchsorted(self._events, wanted, "right") - first
        # All places from first to first + count of each event.
        starts = np.repeat(first - np.r_[0, np.cumsum(count)[:-1]], count)
        met = set(self._holders[starts + np.arange(len(starts))].tolist())
        met.update(at for event in wanted.tolist() for at in self._added.get(event, ()))
        return [self._cells[at] for at in sorted(met)]


def _differs_enough(cell: _Cell, told: _Told, fine: Fine) -> bool:
    """Whether every difference of `cell` and what was released before may be told."""
    import numpy as np

    left = np.ones(len(cell.units), bool)  # what the released cells inside this one leave over
    for other in told.near(cell):
        inside = np.isin(cell.units[:, 0], other.units[:, 0])
        common = int(inside.sum())
        if common and common == len(other.units):  # the other one lies in this one
            if not fine(cell, ~inside):
                return False
            left &= ~inside
        elif common and common == len(cell.units):  # this one lies in the other
            around = ~np.isin(other.units[:, 0], cell.units[:, 0])
            if not fine(other, around):
                return False
            # With its released siblings it must not leave over too little of the other either:
            # with all of them, and with those that have nothing in common with it.
            apart = around.copy()
            for sibling in told.near(other):
                within = np.isin(other.units[:, 0], sibling.units[:, 0])
                if sibling is not other and within.sum() == len(sibling.units):
                    around &= ~within
                    if not np.isin(sibling.units[:, 0], cell.units[:, 0]).any():
                        apart &= ~within
            if not fine(other, around) or not fine(other, apart):
                return False
    return fine(cell, left)


# --- Sums of money --------------------------------------------------------------------------------


def dominated(people: NDArray[np.uint64], amounts: NDArray[np.int64]) -> bool:
    """Whether a sum is mostly of one person: people (n,) and amounts (n,) of its events.

    A sum of nothing is of nobody.
    """
    import numpy as np

    _, row = np.unique(people, return_inverse=True)
    parts = np.sort(np.bincount(row.ravel(), weights=amounts.astype(np.float64)))[::-1]
    total = float(parts.sum()) if len(parts) else 0.0
    if total <= 0:
        return False
    others = total - float(parts[:2].sum())
    return bool(parts[0] > MOST_OF_SUM * total or others < CLOSEST * parts[0])


def _untold(
    cells: Sequence[_Cell], kept: Sequence[_Cell], released: Sequence[_Cell]
) -> set[tuple[str, ...]]:
    """Keys of the kept cells whose sum of money is withheld by rule 5."""
    keys = {c.key for c in kept}
    hidden = [c for c in cells if c.key not in keys]
    told = _Told([c for c in released if c.amounts is not None])
    left: list[_Cell] = []
    for cell in sorted(kept, key=lambda c: (-len(c.units), c.key)):
        if _of_several(cell) and _differs_enough(cell, told, _of_several):
            left.append(cell)
            told.add(cell)
        else:
            hidden.append(cell)
    while left and hidden and not _of_several(_joined(hidden)):
        hidden.append(left.pop())
    return keys & {c.key for c in hidden}


def _of_several(cell: _Cell, which: NDArray[np.bool_] | slice = slice(None)) -> bool:
    return cell.amounts is None or not dominated(cell.units[which, 1], cell.amounts[which])


def _joined(cells: Sequence[_Cell]) -> _Cell:
    import numpy as np

    amounts = [c.amounts for c in cells if c.amounts is not None]
    return _Cell((), np.concatenate([c.units for c in cells]), amounts=np.concatenate(amounts))


def _without(cell: _Cell, money: str) -> _Cell:
    """The cell with its counts and no sum of money."""
    sums = {name: value for name, value in cell.sums.items() if name != money}
    return replace(cell, sums=sums, amounts=None)


def _people(cells: Sequence[_Cell]) -> int:
    import numpy as np

    return len(np.unique(np.concatenate([cell.units[:, 1] for cell in cells])))


def _report_id(name: str, tenant: str, period: str, by: Sequence[str]) -> str:
    text = json.dumps([name, tenant, period, list(by)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _frozen_report(connection: sqlite3.Connection, id_: str) -> Report | None:
    found = connection.execute("SELECT report FROM reports WHERE id = ?", (id_,)).fetchone()
    return _thawed(found[0]) if found else None


def _cells(
    events: pa.Table,
    by: Sequence[str],
    sums: Mapping[str, str] = MappingProxyType({}),
    money: str | None = None,
) -> list[_Cell]:
    """One cell for each combination of values of `by`; rows where one is missing are left out."""
    import numpy as np
    import pyarrow.compute as pc

    for name in by:
        events = events.filter(pc.is_valid(events[name]))
    columns = [events[name].to_pylist() for name in by]
    added = {
        metric: np.array([v or 0 for v in events[column].to_pylist()], np.int64)
        for metric, column in sums.items()
    }
    rows: dict[tuple[str, ...], list[int]] = {}
    for row in range(events.num_rows):
        rows.setdefault(tuple(str(column[row]) for column in columns), []).append(row)
    units = np.array(
        [
            (_fingerprint(event), _fingerprint(person))
            for event, person in zip(
                events["event_key"].to_pylist(), events["client"].to_pylist(), strict=True
            )
        ],
        np.uint64,
    ).reshape(-1, 2)
    actions = np.array(events["action_name"].to_pylist(), np.str_)
    return [
        _Cell(
            key,
            units[which],
            actions[which],
            {metric: int(values[which].sum()) for metric, values in added.items()},
            None if money is None else added[money][which],
        )
        for key, which in rows.items()
    ]


def fingerprints(people: Sequence[str]) -> NDArray[np.uint64]:
    """How released cells know people."""
    import numpy as np

    return np.array([_fingerprint(person) for person in people], np.uint64)


def _fingerprint(name: str) -> int:
    """64 bits of a hash of an event's key or a pseudonym: among 100,000 people, two collide with
    probability 3e-10. Hashed, since a key's first digits need not be random."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _released(connection: sqlite3.Connection, period: str) -> list[_Cell]:
    """Cells that a report of `period` is held against: of two months no event is in both."""
    others = f"AND NOT (reports.period GLOB '{MONTH}' AND reports.period != ?)"
    rows = connection.execute(
        "SELECT cells.key, units, amounts FROM cells "
        "JOIN reports ON reports.id = cells.report WHERE true "
        + (others if re.fullmatch(r"\d{4}-\d{2}", period) else "AND ? IS NOT NULL"),
        (period,),
    ).fetchall()
    return [
        _Cell(tuple(json.loads(key)), _units(blob), amounts=_amounts(sums))
        for key, blob, sums in rows
    ]


def _pieces(
    piece: NDArray[np.int64], units: NDArray[np.uint64], cells: Sequence[_Cell]
) -> NDArray[np.int64]:
    """The number of the piece that each unit is in, after `cells` have cut the pieces `piece`."""
    import numpy as np

    for cell in cells:
        inside = np.isin(units[:, 0], cell.units[:, 0])
        piece = np.unique(2 * piece + inside, return_inverse=True)[1].astype(np.int64)
    return piece


def _told_as(connection: sqlite3.Connection, name: str) -> list[_Cell]:
    """Cells of all reports of a name, to whomever they were told."""
    rows = connection.execute(
        "SELECT cells.key, units FROM cells JOIN reports ON reports.id = cells.report "
        "WHERE reports.name = ?",
        (name,),
    ).fetchall()
    return [_Cell(tuple(json.loads(key)), _units(blob)) for key, blob in rows]


def _units(blob: bytes) -> NDArray[np.uint64]:
    import numpy as np

    return np.frombuffer(blob, np.uint64).reshape(-1, 2)


def _amounts(blob: bytes | None) -> NDArray[np.int64] | None:
    import numpy as np

    return None if blob is None else np.frombuffer(blob, np.int64)


def _bytes(amounts: NDArray[np.int64] | None) -> bytes | None:
    return None if amounts is None else amounts.tobytes()


def _spent(connection: sqlite3.Connection, tenant: str) -> float:
    (spent,) = connection.execute(
        "SELECT coalesce(sum(epsilon), 0) FROM reports WHERE tenant = ?", (tenant,)
    ).fetchone()
    return float(spent)


def _frozen(report: Report) -> str:
    return json.dumps(asdict(report))


def _thawed(text: str) -> Report:
    value = json.loads(text)
    figures = tuple(Figures(tuple(f["key"]), f["people"], f["metrics"]) for f in value["figures"])
    return Report(**{**value, "figures": figures})
