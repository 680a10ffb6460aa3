"""What a catalogue says, counted in one streaming pass with bounded memory."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from tandem.contracts.product import AnalysedProduct, Product
from tandem.queries.abbreviations import MIN_PRODUCTS, abbreviations
from tandem.queries.analysis import Analyser
from tandem.queries.bounded import prune
from tandem.queries.categories import CategoryCounter
from tandem.queries.intents import SEPARATOR, Entry, Gazetteer, Measures, key_of, quantity_of
from tandem.queries.normalise import fold, normalise
from tandem.queries.suggest import Completion

MAX_WORDS = 500_000  # distinct surface words, terms and phrases kept while counting
MAX_VALUES = 200_000  # attribute values considered for intents
MAX_VALUE_WORDS = 3
MAX_PHRASE_WORDS = 3
MIN_PHRASE = 3  # products that a phrase must be in to be suggested or named
COMPLETIONS = 200_000
ASKED = 5.0  # a query that was asked weighs as much in completion as a phrase of so many products
TITLES = 50_000  # product titles offered as completions: the most rated ones
MAX_TITLE = 120
ATTRIBUTE_SHARE = 0.7  # a word of a value is that attribute less surely than a brand is a brand
_EDGES = ".,;:()[]{}!?\"'"


def surface_words(text: str) -> list[str]:
    """Folded words as they are written, not stemmed."""
    return [w for word in normalise(text).split() if (w := fold(word.strip(_EDGES)))]


class CatalogueCounter:
    """Counts products by word, term, phrase, brand, category, attribute value and quantity."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self.products = 0
        self.words: Counter[str] = Counter()
        self.terms: Counter[str] = Counter()
        self.phrases: Counter[str] = Counter()
        self.brands: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.queries: Counter[str] = Counter()
        self.abbreviations: Counter[tuple[str, str]] = Counter()
        self.categories = CategoryCounter()
        self._values: Counter[tuple[str, str]] = Counter()
        self._measured: Counter[tuple[str, str, str]] = Counter()
        self._units: Counter[str] = Counter()
        self._titles: list[tuple[int, int, str, str]] = []

    def add(self, analysed: AnalysedProduct) -> None:
        product = analysed.product
        self.products += 1
        path = SEPARATOR.join(product.category)
        words = surface_words(product.title)
        self.words.update({*words, *surface_words(f"{product.brand or ''} {path}")})
        self.terms.update({t for field in analysed.terms.values() for t in field})
        self.phrases.update(
            {
                " ".join(words[i : i + n])
                for n in range(1, MAX_PHRASE_WORDS + 1)
                for i in range(len(words) - n + 1)
            }
        )
        if product.brand:
            self.brands[product.brand] += 1
        if path:
            self.paths[path] += 1
            self.categories.add(path, analysed.terms.get("title", ()))
        for name, value in product.attributes.items():
            if value is True:
                self._values[name, "true"] += 1
            elif isinstance(value, str) and len(value.split()) <= MAX_VALUE_WORDS:
                self._values[name, value] += 1
        self.abbreviations.update(
            {*abbreviations(product.title), *abbreviations(product.description or "")}
        )
        self._measure(product, {t for t in analysed.terms.get("title", ()) if t[0].isdigit()})
        self._keep_title(product)
        if self.products % 10_000 == 0:
            for counts in (self.words, self.terms, self.phrases, self.brands, self.paths):
                prune(counts, MAX_WORDS)
            prune(self.abbreviations, MAX_VALUES)
            prune(self._values, MAX_VALUES)
            prune(self._measured, MAX_VALUES)
            prune(self._units, MAX_VALUES)

    def _measure(self, product: Product, numeric: set[str]) -> None:
        said = [q for t in numeric if (q := quantity_of(t))]
        if not said:
            return
        self._units.update({unit for _, unit in said})
        numbers = {
            f"{value:g}": name
            for name, value in product.attributes.items()
            if isinstance(value, float) and not isinstance(value, bool)
        }
        for number, unit in said:
            if number in numbers:
                self._measured[unit, numbers[number], number] += 1

    def _keep_title(self, product: Product) -> None:
        if len(product.title) <= MAX_TITLE:
            item = (product.rating_count or 0, -self.products, product.title, product.id)
            if len(self._titles) < TITLES:
                heapq.heappush(self._titles, item)
            else:
                heapq.heappushpop(self._titles, item)

    def spelt_out(self) -> list[tuple[str, str]]:
        """Abbreviations with what enough products spell them out as, sorted."""
        return sorted(pair for pair, n in self.abbreviations.items() if n >= MIN_PRODUCTS)

    def learn(self, query: str, asked: int) -> None:
        """Count a query that shoppers have asked. Only words that the catalogue has become
        likelier: one that it lacks may be a common slip of the pen."""
        for word in set(surface_words(query)):
            if word in self.words:
                self.words[word] += asked
        self.queries[" ".join(query.split())] += asked

    def measures(self) -> Measures:
        return Measures({k: n for k, n in self._measured.items() if n > 1}, self._units)

    def gazetteer(self) -> Gazetteer:
        return Gazetteer.of((key_of(self._analyser.query_terms(t)), e) for t, e in self._named())

    def _named(self) -> Iterator[tuple[str, Entry]]:
        for brand, count in self.brands.items():
            yield brand, Entry("brand", brand, count / max(count, self._used(brand)))
        for path, count in self.paths.items():
            if count >= MIN_PHRASE:
                yield path.rsplit(SEPARATOR, 1)[-1], Entry("category", path, 1.0)
        for (name, value), count in self._values.items():
            said = name.replace("_", " ") if value == "true" else value
            if count >= MIN_PHRASE and any(c.isalpha() for c in said):
                share = ATTRIBUTE_SHARE * count / max(count, self._used(said))
                yield said, Entry("attribute", value, share, name)

    def _used(self, text: str) -> int:
        """Products that use these words in any sense: as a phrase where titles count it."""
        if phrase := self.phrases.get(" ".join(surface_words(text)), 0):
            words = surface_words(text)
            if len(words) > 1:
                return phrase
        forms = [t.forms for t in self._analyser.query_terms(text)]
        return min((max(self.terms.get(f, 0) for f in fs) for fs in forms), default=0)

    def completions(self) -> list[Completion]:
        rows: dict[str, Completion] = {}

        def offer(text: str, kind: str, weight: float, product_id: str | None = None) -> None:
            key = " ".join(fold(w) for w in text.split())
            if key and (key not in rows or rows[key].weight < weight):
                rows[key] = Completion(key, text, kind, weight, product_id)

        stop = self._analyser.stop_words
        for phrase, count in self.phrases.most_common(COMPLETIONS):
            if count < MIN_PHRASE:
                break
            words = phrase.split()
            if words[0] in stop or words[-1] in stop or not _says_something(words):
                continue
            # A longer phrase says more than its frequency shows beside a single word's.
            offer(phrase, "query", count * (1 + 0.5 * (len(words) - 1)))
        for query, asked in self.queries.items():
            if all(word in self.words for word in surface_words(query)):
                offer(query, "query", ASKED * asked)
        for brand, count in self.brands.items():
            offer(brand, "brand", 2.0 * count)
        for path, count in self.paths.items():
            offer(path.rsplit(SEPARATOR, 1)[-1], "category", 3.0 * count)
        for _, _, title, product_id in self._titles:
            offer(title, "product", 1.0, product_id)
        return list(rows.values())


def _says_something(words: list[str]) -> bool:
    return any(w.isalpha() and (len(w) > 2 or not w.isascii()) for w in words)
