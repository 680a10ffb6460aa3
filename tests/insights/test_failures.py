"""Failures against planted truth. Longer runs are in docs/insights.md."""

import hashlib
from dataclasses import replace

import pyarrow as pa
import pytest

from tandem.insights.diagnosis import MIN_CLIENTS, MIN_SEARCHES
from tandem.insights.evidence import texts_of
from tandem.insights.failures import FALSE_DISCOVERIES, find_failures
from tandem.insights.findings import Finding, Findings, Group
from tandem.insights.tables import TOLD, Tables, product_table
from tandem.simulate.lexicon import CATEGORIES, LEXICONS
from tandem.simulate.shoppers import SCHEMA, WAYS, Break, Shopping, simulated_shopping

SESSIONS = 20_000


def failures(shopping: Shopping) -> Findings:
    with Tables(memory="800MB") as tables:
        tables.load(shopping.events)
        tables.catalogue(product_table(shopping.products))
        return find_failures(tables)


def names(finding: Finding, planted: Break) -> bool:
    """Whether a finding is about what was planted: the cause, and whose searches."""
    group = finding.group
    if finding.cause != planted.way:
        return False
    if planted.device or planted.filter:
        return (group.device, group.filter) == (planted.device, planted.filter)
    if group.language != planted.language:
        return False
    if planted.category and group.category:
        noun = LEXICONS["en"].noun_forms[CATEGORIES.index(planted.category)][0]
        if not group.category.endswith(f"> {noun}"):
            return False
    if planted.words:
        return any(group.words in words.split() for words in planted.words)
    return True


@pytest.fixture(scope="module")
def broken() -> tuple[Shopping, Findings]:
    shopping = simulated_shopping(SESSIONS, seed=5, broken=WAYS)
    return shopping, failures(shopping)


def test_planted_failures_are_found(broken):
    """At least ten of the twelve broken ways within the first fifteen findings."""
    shopping, found = broken
    first = found.findings[:15]
    seen = [b.way for b in shopping.breaks if any(names(f, b) for f in first)]
    assert len(seen) >= 10, f"missed {set(WAYS) - set(seen)}"
    wrong = [f.title for f in first if not any(names(f, b) for b in shopping.breaks)]
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("seed", [11, 12])
def test_planted_nothing_is_nothing_found(seed):
    found = failures(simulated_shopping(SESSIONS, seed=seed))
    assert [f.title for f in found.findings] == []
    assert found.tests > 100  # it was looked


def test_findings_are_honest_about_their_evidence(broken):
    _, found = broken
    for f in found.findings:
        assert f.searches >= MIN_SEARCHES / 2
        assert f.clients >= MIN_CLIENTS
        assert f.q_value <= FALSE_DISCOVERIES
        assert f.p_value <= f.q_value
        assert f.success.low <= f.success.estimate <= f.success.high
        assert f.lost_sales is not None
        assert f.lost_sales.low <= f.lost_sales.estimate <= f.lost_sales.high
        assert 1 <= len(f.examples) <= 3
        assert all(
            set(s) == {"text", "results", "clicks", "carts", "purchases"}
            for session in f.examples
            for s in session
        )
    lost = [f.lost_sales.estimate for f in found.findings]
    assert lost == sorted(lost, reverse=True)
    assert len({f.id for f in found.findings}) == len(found.findings)


def test_a_text_that_few_have_typed_is_not_told(broken):
    shopping, found = broken
    typed: dict[str, set[str]] = {}
    for row in shopping.events.select(["user_query", "client"]).to_pylist():
        if row["user_query"]:
            typed.setdefault(row["user_query"].lower(), set()).add(row["client"])
    told = {t for t, clients in typed.items() if len(clients) >= TOLD}
    assert len(told) < len(typed)
    for f in found.findings:
        steps = [s["text"] for session in f.examples for s in session]
        learnt = [j["query"] for j in f.fix.payload.get("judgments", [])]
        ruled = [r["query"] for r in f.fix.payload.get("rules", []) if "query" in r]
        listed = [q["text"] for q in f.queries]
        assert {*steps, *learnt, *ruled, *listed} <= {*told, "…"}
        assert sum(q["searches"] for q in f.queries) <= f.searches


def test_the_price_of_a_failure_is_near_what_it_costs(broken):
    """Against the same shoppers in the shop where nothing is broken."""
    shopping, found = broken
    whole = simulated_shopping(SESSIONS, seed=5)
    for way in ("language", "device", "out_of_stock"):
        under = shopping.affected == WAYS.index(way)
        cost = whole.revenue[under].sum() - shopping.revenue[under].sum()
        (finding,) = (f for f in found.findings if f.cause == way)
        # A device is broken for the other breaks' shoppers as well; their cost is not in `cost`.
        assert 0.5 < finding.lost_sales.estimate / cost < 2.5


def test_fixes_can_be_tried(broken):
    _, found = broken
    by_cause = {f.cause: f.fix for f in found.findings}
    slip = by_cause["misspelling"]
    assert slip.kind == "synonym"
    assert slip.payload["rule"] == f"{slip.payload['phrase']} => " + ", ".join(
        (slip.payload["phrase"], slip.payload["meant"])
    )
    assert by_cause["missing_product"].kind == "supply_gap"
    assert by_cause["out_of_stock"].payload["rules"][0]["kind"] == "bury"
    assert by_cause["bad_ranking"].payload["judgments"]


def test_without_catalogue_and_without_events_nothing_breaks():
    with Tables(memory="500MB") as tables:
        tables.load(SCHEMA.empty_table())
        assert find_failures(tables).findings == ()
    shopping = simulated_shopping(3_000, seed=1, broken=("device",))
    with Tables(memory="500MB") as tables:
        tables.load(shopping.events)
        found = find_failures(tables)
    assert found.searches > 3_000


def searches_of(texts: list[str], each: int, *, met: bool, first: int) -> list[dict]:
    """Searches by a client each: those that are met have results, and a cart."""
    rows = []
    for n, text in enumerate(t for t in texts for _ in range(each)):
        at = (first + n) * 600_000_000
        of = {"client": f"c{first + n}", "session": f"s{first + n}", "query_id": f"q{first + n}"}
        search = {**of, "action_name": "search", "user_query": text, "timestamp": at}
        rows.append({**search, "total": 20 if met else 0, "object_ids": ["a"] if met else []})
        if met:
            seen = {**of, "object_id": "a", "position": 1}
            for k, action in enumerate(("impression", "click", "add_to_cart"), 1):
                if n % 2 or action != "add_to_cart":
                    rows.append({**seen, "action_name": action, "timestamp": at + k * 1_000_000})
    return rows


WORDINGS = ["joggers", "sweatpants", "track pants"]


def test_wordings_that_are_rare_alone_are_found_by_their_meaning():
    rows = searches_of(WORDINGS, 18, met=False, first=0)
    rows += searches_of(["shirt", "lamp", "sofa"], 150, met=True, first=1_000)
    lists = ("masked", "object_ids", "filters")
    filled = [
        {
            **dict.fromkeys(SCHEMA.names),
            **{key: [] for key in lists},
            "event_key": f"{n:032x}",
            "received": row["timestamp"],
            "traffic": "shopper",
            "clock": "kept",
            **row,
        }
        for n, row in enumerate(rows)
    ]
    events = pa.Table.from_pylist(filled, schema=SCHEMA)
    with Tables(memory="500MB") as tables:
        tables.load(events)
        assert find_failures(tables).findings == ()  # 18 searches each are too few
        tables.meanings(dict.fromkeys(WORDINGS, "joggers"))
        (finding,) = find_failures(tables).findings
        assert texts_of(tables, finding.group) == dict.fromkeys(sorted(WORDINGS), 18)
    assert (finding.cause, finding.group.meaning) == ("missing_product", "joggers")
    assert finding.searches == 54
    assert finding.fix.payload["wordings"] == sorted(WORDINGS)
    assert [q["text"] for q in finding.queries] == sorted(WORDINGS)
    assert {q["searches"] for q in finding.queries} == {18}
    # The id of a group that is not by meaning is what it was before there were meanings.
    assert (
        Finding.id.fget(replace(finding, group=Group(text="x")))
        == "missing_product-"
        + (
            hashlib.sha256(
                b'{"category": null, "device": null, "filter": null, "language": null, '
                b'"text": "x", "words": null}'
            ).hexdigest()[:8]
        )
    )
