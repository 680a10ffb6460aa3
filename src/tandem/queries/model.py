"""The query model of a generation: built in one pass over the catalogue, used for every query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import orjson

from tandem.contracts.product import AnalysedProduct
from tandem.contracts.query_log import QueryCount
from tandem.contracts.search import Suggestion, Term, Understanding
from tandem.queries import compounds, relaxation
from tandem.queries import synonyms as synonym_rules
from tandem.queries.analysis import Analyser
from tandem.queries.categories import NO_LESSONS, CategoryModel, Lessons
from tandem.queries.compounds import Compounds
from tandem.queries.counting import CatalogueCounter
from tandem.queries.intents import Gazetteer, Measures
from tandem.queries.stemming import stem
from tandem.queries.suggest import Completions
from tandem.queries.synonyms import Rule, Synonyms
from tandem.queries.understanding import Reader
from tandem.queries.vocabulary import Vocabulary
from tandem.storage.atomic import write_atomic

STATE = "queries.json"
CATEGORIES = "categories.npz"
REMEMBERED = 10_000  # queries whose understanding is kept
MAX_PREFIX = 100


class QueryModelBuilder:
    """Streams analysed products; memory is bounded whatever the catalogue's size."""

    def __init__(self, analyser: Analyser, synonyms: Path | None = None) -> None:
        """synonyms: a file in Solr's format; InvalidInput names the line that is wrong."""
        self._analyser = analyser
        self._rules = synonym_rules.load(synonyms, analyser.languages)
        self._counted = CatalogueCounter(analyser)

    def add(self, analysed: AnalysedProduct) -> None:
        self._counted.add(analysed)

    def learn(self, log: Iterable[QueryCount]) -> None:
        """Learn from what shoppers have asked; to be called when all products are added."""
        for entry in log:
            self._counted.learn(entry.query, entry.asked)

    def finish(self, directory: Path) -> QueryModel:
        """Write the model into `directory` and return it."""
        directory.mkdir(parents=True, exist_ok=True)
        counted = self._counted
        counted.categories.finish().save(directory / CATEGORIES)
        mined = [([short, long], [short, long]) for short, long in counted.spelt_out()]
        state = {
            "languages": list(self._analyser.languages),
            "products": counted.products,
            "words": {w: n for w, n in counted.words.items() if n > 1 or w.isalpha()},
            "terms": {t: n for t, n in counted.terms.items() if n > 1},
            "compounds": compounds.mine(counted.words, counted.phrases, self._is_term),
            "gazetteer": counted.gazetteer().to_json(),
            "measures": counted.measures().to_json(),
            "synonyms": [*self._rules, *mined],
            "completions": sorted(map(list, counted.completions())),
        }
        write_atomic(directory / STATE, orjson.dumps(state))
        return QueryModel.load(directory)

    def _is_term(self, word: str) -> bool:
        stems = {stem(word, language) for language in self._analyser.languages}
        return any(self._counted.terms[s] >= compounds.MIN_COUNT for s in stems)


class QueryModel:
    """Understands queries of one generation. Safe for many threads."""

    def __init__(
        self,
        analyser: Analyser,
        products: int,
        terms: Mapping[str, int],
        reader: Reader,
        completions: Completions,
        categories: CategoryModel,
    ) -> None:
        self.analyser = analyser
        self._products = products
        self._terms = terms
        self._completions = completions
        self._categories = categories
        self._read = lru_cache(maxsize=REMEMBERED)(reader.read)

    @classmethod
    def load(cls, directory: Path, more_synonyms: Sequence[Rule] = ()) -> QueryModel:
        """The model of a generation. more_synonyms: rules to try beside those it was built with."""
        state = orjson.loads((directory / STATE).read_bytes())
        analyser = Analyser(state["languages"])
        vocabulary = Vocabulary(state["words"])
        terms = state["terms"]
        categories = CategoryModel.load(directory / CATEGORIES)
        reader = Reader(
            analyser,
            vocabulary,
            terms,
            Compounds(analyser, terms, state["compounds"]),
            Gazetteer.from_json(state["gazetteer"]),
            Measures.from_json(state["measures"]),
            Synonyms(analyser, [*state["synonyms"], *more_synonyms]),
            categories,
        )
        completions = Completions.from_json(state["completions"], vocabulary)
        return cls(analyser, state["products"], terms, reader, completions, categories)

    def understand(
        self, text: str, language: str | None = None, rewrite: bool = True
    ) -> Understanding:
        """What a query means. `rewrite=False` takes the words as typed: no correction."""
        return self._read(text, language, rewrite)

    def relaxations(self, u: Understanding) -> Iterator[tuple[Understanding, str]]:
        """Ever weaker versions of a query that matched nothing, each with what was given up."""
        return relaxation.relaxations(u, self._rarity, self.understand)

    def _rarity(self, term: Term) -> float:
        """idf; words that the catalogue does not have come first, as the first to go."""
        count = max((self._terms.get(f, 0) for f in term.forms), default=0)
        return math.log((self._products + 1) / count) if count else -1.0

    def suggest(self, prefix: str, limit: int = 8, language: str | None = None) -> list[Suggestion]:
        """Completions of what is being typed; the catalogue's phrases, in any language."""
        return self._completions.suggest(prefix[:MAX_PREFIX], limit)

    def category_distribution(
        self, u: Understanding, lessons: Lessons = NO_LESSONS
    ) -> dict[str, float]:
        """P(category path | query); empty when nothing is known about the words.

        lessons: what judged queries have taught, beside the catalogue.
        """
        return self._categories.distribution(u.terms, lessons) if u.terms else {}
