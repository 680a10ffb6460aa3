"""Personal data in queries: what is found, what is left alone, measured against floors."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import load, score

from tandem.contracts.search import MAX_QUERY
from tandem.governance.personal import Finding, find_personal, mask

DATA = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_there_are_enough_labelled_queries_with_and_without_personal_data():
    queries = [q for name in ("development", "held_out", "hard") for q in load(name)]
    assert len(queries) >= 500
    assert sum(bool(q.personal) for q in queries) >= 150
    assert sum(not q.personal for q in queries) >= 250
    assert len({q.language for q in queries}) >= 10
    assert len({q.text for q in queries}) == len(queries)


@pytest.mark.parametrize(
    ("name", "precision", "recall", "covered"),
    # `hard` was written to be missed: its floors hold what is reached, and say how little it is.
    [
        ("development", 0.98, 0.98, 0.98),
        ("held_out", 0.98, 0.98, 0.98),
        ("hard", 0.85, 0.42, 0.42),
    ],
)
def test_precision_and_recall_stay_above_their_floors(name, precision, recall, covered):
    result = score(load(name))
    assert result.precision >= precision, result
    assert result.recall >= recall, result
    assert result.covered >= covered, result


@pytest.mark.parametrize(
    "text",
    [
        "iphone 12 pro max",
        "samsung galaxy s21",
        "4006381333931",
        "9780306406157",
        "lego 75192",
        "dr martens 1460",
        "19.99 - 29.99",
        "street fighter 6",
        "hugo boss perfume",
    ],
)
def test_what_shops_are_asked_for_is_not_personal(text):
    assert mask(text) == (text, ())


def test_masking_keeps_the_words_around_and_names_the_kinds():
    text = "refund to jane@example.com or call +44 20 7946 0958 please"
    assert mask(text) == ("refund to <email> or call <phone> please", ("email", "phone"))


def test_a_card_needs_luhn_and_an_issuer():
    assert mask("4111 1111 1111 1111")[1] == ("card",)
    assert mask("4111 1111 1111 1112")[1] == ()
    assert mask("9111 1111 1111 1111")[1] == ()


def test_an_iban_needs_its_check_digits_and_its_length():
    assert mask("iban DE89 3704 0044 0532 0130 00")[1] == ("iban",)
    assert mask("iban DE88 3704 0044 0532 0130 00")[1] == ()


text = st.text(max_size=MAX_QUERY)
pieces = st.lists(
    st.sampled_from(
        [
            "a@b.de",
            "+49 171 3920015",
            "12 Main Street",
            "my name is ",
            "@",
            " ",
            "1",
            "(",
            "DE89 3704",
        ]
    )
    | st.text(max_size=8),
    max_size=12,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(text | pieces)
def test_findings_lie_in_the_text_in_order_and_apart(text):
    found = find_personal(text)
    at = 0
    for finding in found:
        assert at <= finding.start < finding.end <= len(text)
        at = finding.end
    masked, kinds = mask(text)
    assert set(kinds) == {f.kind for f in found}
    assert (masked == text) == (not found)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("abcdefghijklmnop0123456789._-"), min_size=1, max_size=20).filter(
        lambda t: t[0].isalnum()
    ),
    st.sampled_from(["shoes", "wo ist meine bestellung", "12 pro max", ""]),
)
def test_no_mail_address_gets_through_whatever_stands_around_it(user, words):
    masked, kinds = mask(f"{words} {user}@example.org {words}".strip())
    assert "example" not in masked
    assert "email" in kinds


@given(st.integers(10**12, 10**15 - 1), st.sampled_from(["", "-", " "]))
def test_no_visa_number_gets_through(digits, separator):
    number = f"4{digits:015d}"[:15]
    check = next(d for d in range(10) if _luhn(f"{number}{d}"))
    shown = separator.join((f"{number}{check}"[i : i + 4]) for i in range(0, 16, 4))
    assert mask(f"pay with {shown} now") == ("pay with <card> now", ("card",))


def _luhn(digits: str) -> bool:
    total = 0
    for i, d in enumerate(map(int, reversed(digits))):
        total += d if i % 2 == 0 else sum(divmod(2 * d, 10))
    return total % 10 == 0


@pytest.mark.data
def test_real_queries_and_titles_are_left_alone():
    if not DATA.is_dir():
        pytest.skip("needs the shared data sets: set TANDEM_DATA")
    queries = set()
    titles = []
    for name in ("esci", "icecat"):
        with (DATA / name / "judgments.csv").open(encoding="utf-8") as handle:
            queries |= {row["query"] for row in csv.DictReader(handle)}
        with gzip.open(DATA / name / "products.jsonl.gz", "rb") as handle:
            rows = [orjson.loads(line) for line in handle]
        titles += [t for row in rows[:5000] if (t := row.get("title") or row.get("name"))]
    assert not [q for q in queries if find_personal(q)]
    flagged = [t for t in titles if find_personal(t[:MAX_QUERY])]
    assert len(titles) >= 5000
    assert len(flagged) <= len(titles) / 500, flagged


def test_findings_are_places_in_the_text():
    assert find_personal("mail a@b.de") == (Finding("email", 5, 11),)
