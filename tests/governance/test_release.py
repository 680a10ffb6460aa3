"""Release rules, attacked: thin cells, differences of reports, second versions, spent budgets."""

from __future__ import annotations

import itertools
import sqlite3
import statistics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_tables import event_table, pseudonym
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.governance import release as module
from tandem.governance.release import MOST_PER_PERSON, Releases
from tandem.storage.layout import Layout, Settings

K = 5


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


@pytest.fixture
def releases(layout) -> Releases:
    return Releases(layout, k=K)


def events(*groups: tuple[str, range], action: str = "click", start: int = 0):
    """Events of people numbered by a range, one each, on the query of their group."""
    return event_table(
        [
            {
                "event_key": f"{start + n:016x}{n:016x}",
                "client": pseudonym(str(person)),
                "user_query": query,
                "action_name": action,
            }
            for n, (query, person) in enumerate((q, p) for q, people in groups for p in people)
        ]
    )


def shown(report) -> dict[str, int]:
    return {f.key[0]: f.people for f in report.figures}


@pytest.mark.parametrize(("people", "out"), [(K - 1, False), (K, True), (K + 1, True)])
def test_a_cell_is_released_from_k_people_on(releases, people, out):
    report = releases.release("r", "Acme", "2026-03", events(("a", range(people))), ["user_query"])
    assert (shown(report) == {"a": people}) is out
    assert report.withheld == ({} if out else {"few_people": 1})


def test_k_counts_people_not_events(releases):
    rows = events(*(("a", range(2)) for _ in range(40)))
    assert releases.release("r", "Acme", "2026-03", rows, ["user_query"]).figures == ()


def test_a_sensible_k_is_fifty_by_default_and_one_is_refused(layout):
    assert Releases(layout).k == 50
    with pytest.raises(InvalidInput, match="hides nobody"):
        Releases(layout, k=1)


def test_a_released_report_stays_as_it_was_whoever_was_erased(releases):
    before = releases.release("r", "Acme", "2026-03", events(("a", range(9))), ["user_query"])
    after = releases.release("r", "Acme", "2026-03", events(("a", range(8))), ["user_query"])
    assert after == before
    other = releases.release(
        "r", "Acme", "2026-04", events(("a", range(8)), start=99), ["user_query"]
    )
    assert shown(other) == {"a": 8}


def test_a_longer_period_that_gives_one_person_away_is_withheld(releases):
    long = events(("a", range(11)))
    releases.release("r", "Acme", "days 1 to 10", long.slice(0, 10), ["user_query"])
    report = releases.release("r", "Acme", "days 1 to 11", long, ["user_query"])
    assert (report.figures, report.withheld) == ((), {"differencing": 1})


def test_a_shorter_period_that_gives_one_person_away_is_withheld(releases):
    long = events(("a", range(11)))
    releases.release("r", "Acme", "days 1 to 11", long, ["user_query"])
    report = releases.release("r", "Acme", "days 1 to 10", long.slice(0, 10), ["user_query"])
    assert report.withheld == {"differencing": 1}


def test_a_person_in_both_cells_is_protected_in_the_difference_too(releases):
    """Ten people in both periods, one of whom alone did more on the last day."""
    long = events(("a", range(10)), ("a", range(1)))
    releases.release("r", "Acme", "days 1 to 10", long.slice(0, 10), ["user_query"])
    report = releases.release("r", "Acme", "days 1 to 11", long, ["user_query"])
    assert report.withheld == {"differencing": 1}


def test_parts_of_a_whole_do_not_leave_over_a_thin_rest(releases):
    """Two days of ten people each and one of two; then the three days as one."""
    days = [
        events(("x", range(a, b)), start=100 * n)
        for n, (a, b) in enumerate(((0, 10), (10, 20), (20, 22)))
    ]
    for n, day in enumerate(days[:2]):
        assert releases.release("r", "Acme", f"day {n}", day, ["user_query"]).figures
    whole = releases.release("r", "Acme", "all", pa.concat_tables(days), ["user_query"])
    assert whole.withheld == {"differencing": 1}


def test_a_single_thin_cell_takes_another_one_with_it(releases):
    """Released with the total, one withheld cell would be the total less the others."""
    rows = events(("a", range(20)), ("b", range(20, 28)), ("c", range(28, 30)))
    report = releases.release("r", "Acme", "2026-03", rows, ["user_query"])
    assert shown(report) == {"a": 20}
    assert report.withheld == {"few_people": 1, "with_others": 1}


KEYS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 7)),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=KEYS, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_no_difference_of_released_cells_is_of_few_people(tmp_path_factory, rows, cuts):
    """Reports by query, by object and by both, over growing periods: subtract any two cells that
    lie in one another, and from each cell all that lie apart from each other inside it."""
    releases = Releases(Layout.create(tmp_path_factory.mktemp("attack") / "shop", Settings()), k=3)
    table = event_table(
        [
            {
                "event_key": f"{n:016x}{n:016x}",
                "client": pseudonym(str(person)),
                "user_query": query,
                "object_id": product,
            }
            for n, (query, product, person) in enumerate(rows)
        ]
    )
    people_of = {n: person for n, (_, _, person) in enumerate(rows)}
    cells: list[frozenset[int]] = []
    for cut, by in itertools.product(
        cuts, (["user_query"], ["object_id"], ["user_query", "object_id"])
    ):
        part = table.slice(0, cut)
        report = releases.release("+".join(by), "Acme", str(cut), part, by)
        columns = [part[c].to_pylist() for c in by]
        for figures in report.figures:
            cell = frozenset(
                n for n in range(part.num_rows) if tuple(c[n] for c in columns) == figures.key
            )
            assert len({people_of[n] for n in cell}) == figures.people >= 3
            cells.append(cell)
    distinct = set(cells)
    for one, other in itertools.permutations(distinct, 2):
        if one < other:
            assert len({people_of[n] for n in other - one}) >= 3


SUMS = {"gmv": "minor", "orders": "one"}


def sales(*rows: tuple[str, int, int]):
    """Purchases of (query, person, amount)."""
    table = events(*((query, range(person, person + 1)) for query, person, _ in rows))
    amounts = pa.array([amount for *_, amount in rows], pa.int64())
    ones = pa.array([1] * len(rows), pa.int64())
    return table.append_column("minor", amounts).append_column("one", ones)


def sums(report) -> dict[str, float | None]:
    return {f.key[0]: f.metrics.get("gmv") for f in report.figures}


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ([10] * 8, True),
        ([40, 10, 10, 10, 10], True),  # just half
        ([41, 10, 10, 10, 10], False),
        ([50, 50, 0, 0, 0, 0], False),  # each of the two knows the other's
        ([50, 46, 4, 0, 0, 0], False),
        ([50, 45, 5, 0, 0, 0], True),  # to within a tenth and no closer
        ([0] * 6, True),
    ],
)
def test_a_sum_that_is_mostly_of_one_person_is_withheld_and_the_counts_stay(
    releases, amounts, told
):
    rows = sales(*(("a", person, amount) for person, amount in enumerate(amounts)))
    report = releases.release("r", "Acme", "2026-03", rows, ["user_query"], sums=SUMS, money="gmv")
    assert sums(report) == {"a": sum(amounts) if told else None}
    assert report.figures[0].metrics["orders"] == len(amounts)
    assert report.withheld == ({} if told else {"dominated": 1})


def test_several_purchases_of_one_person_are_one_part(releases):
    rows = sales(*(("a", 0, 10) for _ in range(6)), *(("a", person, 10) for person in range(1, 6)))
    report = releases.release("r", "Acme", "2026-03", rows, ["user_query"], sums=SUMS, money="gmv")
    assert sums(report) == {"a": None}


def test_a_withheld_sum_is_not_what_the_others_leave_over(releases):
    """Of three queries one is mostly of one person; the smallest other one joins it."""
    rows = sales(
        *(("a", person, 10) for person in range(30)),
        *(("b", person, 10) for person in range(30, 50)),
        *(("c", person, 100 if person == 50 else 10) for person in range(50, 56)),
    )
    total = releases.release("r", "Acme", "2026-03", rows, [], sums=SUMS, money="gmv")
    assert total.figures[0].metrics["gmv"] == 650
    parts = releases.release("r", "Acme", "2026-03", rows, ["user_query"], sums=SUMS, money="gmv")
    assert sums(parts) == {"a": 300, "b": None, "c": None}


def test_figures_of_before_the_rule_are_read(releases, layout):
    releases.release("r", "Acme", "2026-03", events(("a", range(9))), ["user_query"])
    with sqlite3.connect(releases.file) as connection:
        connection.execute("ALTER TABLE cells DROP COLUMN amounts")
    later = sales(*(("b", person, 10) for person in range(20, 29)))
    report = releases.release("s", "Acme", "2026-03", later, ["user_query"], sums=SUMS, money="gmv")
    assert sums(report) == {"b": 90}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # the audit knows single differences and remainders, not every combination
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.sampled_from([0, 1, 5, 30])),
        min_size=1,
        max_size=50,
    ),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=3),
)
def test_no_difference_of_released_sums_is_mostly_of_one_person(tmp_path_factory, rows, cuts):
    """By query and in all, over growing periods: subtract any sum from any other around it, and
    from each total all that was told of its parts."""
    releases = Releases(Layout.create(tmp_path_factory.mktemp("sums") / "shop", Settings()), k=2)
    table = sales(*rows)
    told: set[frozenset[int]] = set()
    for cut, by in itertools.product(cuts, ([], ["user_query"])):
        report = releases.release(
            "+".join(by), "Acme", str(cut), table.slice(0, cut), by, sums=SUMS, money="gmv"
        )
        parts: list[frozenset[int]] = []
        for figures in report.figures:
            cell = frozenset(
                n for n in range(min(cut, len(rows))) if not by or (rows[n][0],) == figures.key
            )
            if "gmv" in figures.metrics:
                assert figures.metrics["gmv"] == sum(rows[n][2] for n in cell)
                parts.append(cell)
        told.update(parts)
        whole = frozenset(range(min(cut, len(rows))))
        if by and whole in told:
            told.add(whole.difference(*parts))

    for cell in told:
        assert not mostly_of_one(rows, cell)
    for one, other in itertools.permutations(told, 2):
        if one < other:
            assert not mostly_of_one(rows, other - one)


def mostly_of_one(rows, cell: frozenset[int]) -> bool:
    people = np.array([rows[n][1] for n in cell], np.uint64)
    return module.dominated(people, np.array([rows[n][2] for n in cell], np.int64))


def test_an_erased_person_leaves_the_amounts_as_well(releases):
    rows = sales(*(("a", person, 10 + person) for person in range(8)))
    before = releases.release("r", "Acme", "2026-03", rows, ["user_query"], sums=SUMS, money="gmv")
    assert releases.forget([pseudonym("3")]) == 1
    with sqlite3.connect(releases.file) as connection:
        ((amounts,),) = connection.execute("SELECT amounts FROM cells").fetchall()
    assert np.frombuffer(amounts, np.int64).tolist() == [10, 11, 12, 14, 15, 16, 17]
    after = releases.release("r", "Acme", "2026-03", rows, ["user_query"], sums=SUMS, money="gmv")
    assert after == before


def test_an_erased_person_is_forgotten_and_the_totals_stay(releases):
    before = releases.release("r", "Acme", "2026-03", events(("a", range(9))), ["user_query"])
    gone = pseudonym("3")
    assert releases.holds([gone]) == 1
    assert releases.forget([gone]) == 1
    assert releases.holds([gone]) == 0
    assert releases.holds([pseudonym("4")]) == 1
    after = releases.release("r", "Acme", "2026-03", events(("a", range(9))), ["user_query"])
    assert after == before


def test_noisy_figures_have_the_noise_that_they_say(layout):
    pytest.importorskip("opendp")
    releases = Releases(layout, k=K, budget=1e9)
    rows = events(*((f"q{n}", range(20 * n, 20 * n + 20)) for n in range(400)))
    epsilon = 10.0
    report = releases.release("r", "Acme", "2026-03", rows, ["user_query"], epsilon=epsilon)
    assert len(report.figures) == 400
    assert {f.people for f in report.figures} == {None}
    errors = [f.metrics["click"] - 20 for f in report.figures]
    # Laplace of scale b has standard deviation b * sqrt(2); 400 draws, five standard errors.
    expected = MOST_PER_PERSON / epsilon * 2**0.5
    assert abs(statistics.mean(errors)) < 5 * expected / 20
    assert 0.7 * expected < statistics.pstdev(errors) < 1.3 * expected


def test_one_person_moves_noisy_counts_by_a_bounded_amount(layout):
    loud = [("a", range(1))] * 500
    cells = module._cells(events(("a", range(1, 20)), *loud), ["user_query"])
    assert sum(c.metrics["click"] for c in cells) == 519
    assert sum(c.metrics["click"] for c in module._bounded(cells)) == 19 + MOST_PER_PERSON


def test_a_spent_budget_ends_noisy_reports_and_old_ones_cost_nothing(layout):
    pytest.importorskip("opendp")
    releases = Releases(layout, k=K, budget=2.0)
    for n in range(2):
        releases.release(
            "r", "Acme", f"{n}", events(("a", range(9)), start=99 * n), ["user_query"], epsilon=1.0
        )
    assert releases.spent("Acme") == 2.0
    with pytest.raises(Conflict, match="budget"):
        releases.release("r", "Acme", "3", events(("a", range(9))), ["user_query"], epsilon=0.1)
    first = releases.release("r", "Acme", "0", events(("a", range(9))), ["user_query"], epsilon=1.0)
    assert first.epsilon == 1.0
    assert releases.spent("Acme") == 2.0
    assert releases.spent("Borealis") == 0.0
    with pytest.raises(InvalidInput, match="epsilon"):
        releases.release("r", "Borealis", "3", events(("a", range(9))), ["user_query"], epsilon=0)


def test_sums_are_released_with_their_cell_and_not_with_noise(layout):
    table = events(("a", range(60)), ("b", range(3)))
    table = table.append_column("minor", pa.array([250] * 60 + [900, None, 900], pa.int64()))
    releases = module.Releases(layout)
    report = releases.release("sales", "m", "2026-03", table, [], sums={"gmv": "minor"})
    (whole,) = report.figures
    assert whole.key == ()
    assert whole.metrics["gmv"] == 60 * 250 + 2 * 900
    by = releases.release("sales", "m", "2026-03", table, ["user_query"], sums={"gmv": "minor"})
    assert [f.metrics["gmv"] for f in by.figures] == []  # 3 people could be worked out
    with pytest.raises(InvalidInput, match="noise"):
        releases.release("n", "m", "2026-03", table, [], sums={"g": "minor"}, epsilon=1.0)


def test_what_was_released_is_found_without_events(layout):
    releases = module.Releases(layout)
    assert releases.released("r", "m", "2026-03", ["user_query"]) is None
    report = releases.release("r", "m", "2026-03", events(("a", range(60))), ["user_query"])
    assert releases.released("r", "m", "2026-03", ["user_query"]) == report
    assert releases.released("r", "m", "2026-04", ["user_query"]) is None


def sides(releases, trial: str, *groups: tuple[str, range]):
    """A trial, told of these people; every person is one event, the same in all trials."""
    rows = event_table(
        [
            {
                "event_key": f"{person:032x}",
                "client": pseudonym(str(person)),
                "user_query": side,
                "action_name": "watch",
            }
            for side, people in groups
            for person in people
        ]
    )
    return releases.release("trial", "Acme", trial, rows, ["user_query"], crossing=True)


def test_sides_of_trials_are_told_whole_and_cut_nobody_out(releases):
    assert shown(sides(releases, "1", ("on", range(0, 10)), ("off", range(10, 20)))) == {
        "on": 10,
        "off": 10,
    }
    # Three people changed sides: what both trials tell would leave these three.
    crossed = sides(releases, "2", ("on", range(0, 13)), ("off", range(13, 20)))
    assert crossed.figures == ()
    assert crossed.withheld == {"differencing": 2}
    # One side too thin is no side told.
    assert sides(releases, "3", ("on", range(30, 40)), ("off", range(40, 44))).figures == ()
    # Five, five, five and five: nobody is alone.
    assert shown(sides(releases, "4", ("on", range(5, 15)), ("off", (*range(5), *range(15, 20)))))
    # People nobody told of before, and the same sides again.
    assert shown(sides(releases, "5", ("on", range(50, 60)), ("off", range(60, 70))))
    assert shown(sides(releases, "6", ("on", range(0, 10)), ("off", range(10, 20))))
    assert sides(releases, "7").figures == ()


BLOCKS = [n for n, size in enumerate((3, 5, 6, 7, 4, 8, 5, 6)) for _ in range(size)]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.sampled_from("abx"), min_size=8, max_size=8), max_size=5))
def test_no_number_of_trials_tells_of_fewer_than_k(tmp_path_factory, trials):
    """Whatever is told, people whom it tells apart from all others are k or more: those who were on
    the same side of every told trial. Some people stay together, so that several trials are told.
    """
    releases = Releases(Layout.create(tmp_path_factory.mktemp("t") / "shop", Settings()), k=K)
    told = []
    for number, lots in enumerate(trials):
        groups = [(s, [p for p, b in enumerate(BLOCKS) if lots[b] == s]) for s in "ab"]
        if sides(releases, str(number), *((s, g) for s, g in groups if g)).figures:
            told.append(lots)
    alike: dict[tuple[str, ...], int] = {}
    for block in BLOCKS:
        key = tuple(lots[block] for lots in told)
        alike[key] = alike.get(key, 0) + 1
    assert all(n >= K for key, n in alike.items() if set(key) != {"x"})
