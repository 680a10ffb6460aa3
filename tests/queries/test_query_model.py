"""The query model as a whole: completion, persistence, and queries nobody thought of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.product import Product
from tandem.queries.analysis import Analyser
from tandem.queries.model import QueryModel, QueryModelBuilder

WORDS = (
    'bluetooth bluetoth speaker without sin -black under 50 € $20-$40 500gb 17" head set tv acme '
    "laser printer tn-2110 イヤホン なし 蓝牙 없는 سماعة ’ -- ( ½ l'eau 1,000.50 ß"
)
QUERY = st.text(max_size=60) | st.lists(st.sampled_from(WORDS.split()), max_size=8).map(" ".join)


def test_completion(model: QueryModel) -> None:
    texts = [s.text for s in model.suggest("blue")]
    assert texts[0].startswith("bluetooth")
    assert {s.kind for s in model.suggest("acme")} >= {"brand", "query"}
    assert any(s.kind == "category" for s in model.suggest("head"))
    assert len(model.suggest("b", limit=2)) == 2
    assert model.suggest("", 8) == model.suggest("   ", 8) == model.suggest("zzzz") == []


def test_completion_goes_on_after_a_space(model: QueryModel) -> None:
    assert all(s.text.casefold().startswith("laser ") for s in model.suggest("laser "))
    assert model.suggest("laser ")


def test_completion_of_a_title_names_its_product(model: QueryModel) -> None:
    (found,) = model.suggest("toner for brother tn-2110 3")
    assert (found.kind, found.text) == ("product", "Toner for brother tn-2110 3")
    assert found.product_id


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("blutoo", "bluetooth"), ("haedse", "headset"), ("bluetoth sp", "bluetooth speaker")],
)
def test_completion_forgives_typos(model: QueryModel, typed: str, meant: str) -> None:
    assert any(s.text.startswith(meant) for s in model.suggest(typed))


def test_completion_in_any_language(build: Callable[..., QueryModel]) -> None:
    titles = ["Écouteurs sans fil", "Ecouteurs rouges", "écouteurs bleus", "ワイヤレスイヤホン"]
    model = build([Product(id=t, title=t) for t in titles], ("fr", "ja"))
    assert model.suggest("ecou")[0].text == "ecouteurs"
    assert [s.text for s in model.suggest("ワイヤ")] == ["ワイヤレスイヤホン"]


def test_an_empty_catalogue_understands_too(build: Callable[..., QueryModel]) -> None:
    model = build([])
    assert [t.text for t in model.understand("red shoes").terms] == ["red", "shoes"]
    assert model.suggest("red") == []
    assert model.category_distribution(model.understand("red")) == {}


def test_every_step_is_told(model: QueryModel) -> None:
    u = model.understand("acme bluetoth tv 500gb without straw under 50 €")
    names = [s.name for s in u.steps]
    assert names[:4] == ["normalise", "price", "spelling", "negation"]
    assert {"brand", "attribute", "synonym"} <= set(names)
    assert all(s.detail for s in u.steps)


@settings(max_examples=300, deadline=None)
@given(QUERY, st.booleans())
def test_any_text_is_understood(model: QueryModel, text: str, rewrite: bool) -> None:
    u = model.understand(text, rewrite=rewrite)
    for term in (*u.terms, *u.expansions, *u.negated, *u.excluded):
        assert term.forms
        assert all(f and not any(c.isspace() for c in f) for f in term.forms)
    assert bool(u.terms) == bool(model.analyser.query_terms(text))
    assert not {t.forms for t in u.expansions} & {t.forms for t in u.terms}
    assert all(said for _, said in model.relaxations(u))
    assert sum(model.category_distribution(u).values()) <= 1.001
    assert len(model.suggest(text)) <= 8


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[QueryModel, QueryModel]:
    """A model as built, and the same one as another process loads it."""
    directory: Path = tmp_path_factory.mktemp("twice")
    analyser = Analyser(("en", "ja"))
    builder = QueryModelBuilder(analyser)
    for i in range(4):
        for title in (f"Acme speaker {i} 500gb", f"イヤホン {i}", f"Red water bottle {i}"):
            product = Product(
                id=title, title=title, brand="Acme", category=("A", "B"), attributes={"gb": 500.0}
            )
            builder.add(analyser.analyse(product))
    return builder.finish(directory), QueryModel.load(directory)


@settings(max_examples=100, deadline=None)
@given(QUERY)
def test_loaded_is_the_same_as_built(twice: tuple[QueryModel, QueryModel], text: str) -> None:
    built, loaded = twice
    assert built.understand(text) == loaded.understand(text)
    assert built.suggest(text) == loaded.suggest(text)


def test_files_hold_no_code(twice: tuple[QueryModel, QueryModel], tmp_path: Path) -> None:
    QueryModelBuilder(Analyser()).finish(tmp_path / "q")
    assert {f.suffix for f in (tmp_path / "q").iterdir()} == {".json", ".npz"}
