"""The query model of a generation: built in one pass over the catalogue, used for every query."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import orjson

from tandem.contracts.judgment import JudgmentList
from tandem.contracts.product import AnalysedProduct
from tandem.contracts.search import Filters, Intent, Step, Suggestion, Term, Understanding
from tandem.queries import synonyms as synonym_rules
from tandem.queries.analysis import Analyser, fold, normalise
from tandem.queries.categories import CategoryCounter, CategoryModel, judged_weight
from tandem.queries.gazetteer import Entry, Gazetteer
from tandem.queries.negation import negations
from tandem.queries.prices import price_of
from tandem.queries.suggest import Completions
from tandem.queries.synonyms import Synonyms
from tandem.queries.vocabulary import SURE, Vocabulary

MAX_WORDS = 500_000  # distinct surface words kept while counting
MAX_PHRASES = 500_000
MAX_VALUES = 200_000  # attribute values considered for intents
MAX_VALUE_WORDS = 3
MIN_PHRASE = 3  # products a phrase must be in to be suggested
COMPLETIONS = 200_000
SEPARATOR = " > "


def _pruned(counts: Counter[str], limit: int) -> Counter[str]:
    """Drop the rarest when there are too many; what is frequent stays exact."""
    if len(counts) <= limit:
        return counts
    return Counter(dict(counts.most_common(limit // 2)))


class QueryModelBuilder:
    """Streams analysed products; memory is bounded whatever the catalogue's size."""

    def __init__(self, analyser: Analyser, synonyms: Path | None = None) -> None:
        self._analyser = analyser
        self._rules = synonym_rules.load(synonyms)
        self._words: Counter[str] = Counter()
        self._terms: Counter[str] = Counter()
        self._phrases: Counter[str] = Counter()
        self._brands: Counter[str] = Counter()
        self._paths: Counter[str] = Counter()
        self._values: Counter[tuple[str, str]] = Counter()
        self._categories = CategoryCounter()
        self._total = 0

    def add(self, analysed: AnalysedProduct) -> None:
        product = analysed.product
        self._total += 1
        path = SEPARATOR.join(product.category)
        surface = [fold(w.strip(".,;:()[]{}!?\"'")) for w in normalise(product.title).split()]
        words = [w for w in surface if w]
        named = [fold(w) for w in f"{product.brand or ''} {path}".split()]
        self._words.update({*words, *named})
        self._terms.update({t for field in analysed.terms.values() for t in field})
        for n in (1, 2, 3):
            self._phrases.update({" ".join(words[i : i + n]) for i in range(len(words) - n + 1)})
        if product.brand:
            self._brands[product.brand] += 1
        if path:
            self._paths[path] += 1
            self._categories.add(path, analysed.terms.get("title", ()))
        for key, value in product.attributes.items():
            if isinstance(value, str) and len(value.split()) <= MAX_VALUE_WORDS:
                self._values[key, value] += 1
        if self._total % 10_000 == 0:
            self._words = _pruned(self._words, MAX_WORDS)
            self._terms = _pruned(self._terms, MAX_WORDS)
            self._phrases = _pruned(self._phrases, MAX_PHRASES)
            if len(self._values) > MAX_VALUES:
                self._values = Counter(dict(self._values.most_common(MAX_VALUES // 2)))

    def finish(
        self,
        directory: Path,
        judgments: JudgmentList | None = None,
        categories_of: Callable[[Sequence[str]], Mapping[str, str]] | None = None,
    ) -> QueryModel:
        """Write the model into `directory` and return it.

        judgments with categories_of (product ids to category paths): also teach the category
        classifier what judged queries mean.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if judgments is not None and categories_of is not None:
            self._learn(judgments, categories_of)
        self._categories.finish().save(directory / "categories.npz")
        state = {
            "languages": list(self._analyser.languages),
            "products": self._total,
            "words": {w: n for w, n in self._words.items() if n > 1 or w.isalpha()},
            "terms": {t: n for t, n in self._terms.items() if n > 1},
            "gazetteer": self._gazetteer().to_json(),
            "synonyms": self._rules,
            "completions": self._completions(),
        }
        (directory / "queries.json").write_bytes(orjson.dumps(state))
        return QueryModel.load(directory)

    def _learn(
        self,
        judgments: JudgmentList,
        categories_of: Callable[[Sequence[str]], Mapping[str, str]],
    ) -> None:
        for query, judged in judgments.by_query.items():
            relevant = [p for p, r in judged.items() if r >= 2]
            paths = Counter(categories_of(relevant).values())
            if paths:
                path, _ = paths.most_common(1)[0]
                terms = [f for t in self._analyser.query_terms(query) for f in t.forms]
                self._categories.add(path, terms, judged_weight(judged))

    def _gazetteer(self) -> Gazetteer:
        entries: dict[tuple[str, ...], list[Entry]] = {}

        def key_of(text: str) -> tuple[str, ...]:
            return tuple(t.forms[0] for t in self._analyser.query_terms(text))

        for brand, count in self._brands.items():
            key = key_of(brand)
            if key:
                used = max(min(self._terms[k] for k in key), count)
                entries.setdefault(key, []).append(Entry("brand", brand, count / used))
        for path, count in self._paths.items():
            key = key_of(path.rsplit(SEPARATOR, 1)[-1])
            if key and count >= MIN_PHRASE:
                entries.setdefault(key, []).append(Entry("category", path, 0.8))
        for (name, value), count in self._values.items():
            key = key_of(value)
            if key and count >= MIN_PHRASE and not all(k.replace(".", "").isdigit() for k in key):
                used = max(min(self._terms[k] for k in key), count)
                share = count / used
                if share >= 0.1:
                    entries.setdefault(key, []).append(Entry("attribute", value, 0.7 * share, name))
        return Gazetteer(
            {k: sorted(v, key=lambda e: (-e.share, e.value))[:4] for k, v in entries.items()}
        )

    def _completions(self) -> list[tuple[str, str, str, float]]:
        rows: dict[str, tuple[str, str, str, float]] = {}

        def offer(text: str, kind: str, weight: float) -> None:
            key = " ".join(fold(w) for w in text.split())
            if key and (key not in rows or rows[key][3] < weight):
                rows[key] = (key, text, kind, weight)

        stop = self._analyser.stop_words
        for phrase, count in self._phrases.most_common(COMPLETIONS):
            words = phrase.split()
            if count < MIN_PHRASE or words[0] in stop or words[-1] in stop:
                continue
            if len(phrase) < 3 or not any(w.isalpha() and len(w) > 2 for w in words):
                continue
            # A longer phrase says more than its frequency shows beside a single word's.
            offer(phrase, "query", count * (1 + 0.5 * (len(words) - 1)))
        for brand, count in self._brands.items():
            offer(brand, "brand", 2.0 * count)
        for path, count in self._paths.items():
            offer(path.rsplit(SEPARATOR, 1)[-1], "category", 3.0 * count)
        return list(rows.values())


class QueryModel:
    """Understands queries of one generation. Safe for many threads."""

    def __init__(
        self,
        analyser: Analyser,
        products: int,
        words: Mapping[str, int],
        terms: Mapping[str, int],
        gazetteer: Gazetteer,
        synonyms: Synonyms,
        completions: Sequence[tuple[str, str, str, float]],
        categories: CategoryModel,
    ) -> None:
        self.analyser = analyser
        self._products = products
        self._terms = terms
        self._vocabulary = Vocabulary(words)
        self._gazetteer = gazetteer
        self._synonyms = synonyms
        self._completions = Completions(completions, self._vocabulary)
        self._categories = categories
        self._understand = lru_cache(maxsize=10_000)(self._understood)

    @classmethod
    def load(cls, directory: Path) -> QueryModel:
        state = orjson.loads((directory / "queries.json").read_bytes())
        analyser = Analyser(state["languages"])
        return cls(
            analyser,
            state["products"],
            state["words"],
            state["terms"],
            Gazetteer.from_json(state["gazetteer"]),
            Synonyms(analyser, state["synonyms"]),
            [tuple(row) for row in state["completions"]],
            CategoryModel.load(directory / "categories.npz"),
        )

    # --- Understanding ------------------------------------------------------------------------

    def understand(
        self, text: str, language: str | None = None, rewrite: bool = True
    ) -> Understanding:
        """What a query means. `rewrite=False` takes the words as typed: no correction."""
        return self._understand(text, language, rewrite)

    def _understood(self, raw: str, language: str | None, rewrite: bool) -> Understanding:
        steps: list[Step] = []
        text = normalise(raw)
        steps.append(Step(name="normalise", detail=f"searching for '{text}'"))
        filters, intents = Filters(), []
        price = price_of(text)
        if price.said and price.text:
            text = price.text
            filters = Filters(price_min=price.least, price_max=price.most)
            for kind, bound in (("price_min", price.least), ("price_max", price.most)):
                if bound is not None:
                    intents.append(
                        Intent(
                            kind=kind, value=str(bound), confidence=0.95, hard=True, text=price.said
                        )
                    )
            steps.append(Step(name="price", detail=f"'{price.said}' is a price", confidence=0.95))
        negated = negations(text, self.analyser.languages)
        if negated.ruled_out or negated.excluded:
            said = ", ".join(filter(None, (negated.ruled_out, *negated.excluded)))
            steps.append(Step(name="negation", detail=f"rules out: {said}", confidence=0.9))
        words = negated.text
        corrected = suggestion = None
        read, confidence = self._spelled(words) if rewrite else (words, 1.0)
        if read != words:
            sure = confidence >= SURE
            whole = text.replace(words, read, 1)
            corrected, suggestion = (whole, None) if sure else (None, whole)
            detail = f"'{words}' read as '{read}'" if sure else f"perhaps '{read}' was meant"
            steps.append(Step(name="spelling", detail=detail, confidence=round(confidence, 3)))
            if sure:
                words, text = read, whole
        terms = self._compounds(self.analyser.query_terms(words, language))
        excluded = tuple(t for w in negated.excluded for t in self.analyser.query_terms(w))
        found = list(self._gazetteer.intents(terms))
        intents += found
        for intent in found:
            field = f" ({intent.field})" if intent.field else ""
            steps.append(
                Step(
                    name=intent.kind,
                    detail=f"'{intent.text}' may mean {intent.value}{field}",
                    confidence=intent.confidence,
                )
            )
        if negated.ruled_out:
            intents.append(
                Intent(kind="exclude", value=negated.ruled_out, confidence=0.9, text=raw[:200])
            )
        expansions: list[Term] = []
        if rewrite:
            for phrase, more in self._synonyms.expansions(terms):
                expansions += more
                also = " ".join(t.text for t in more)
                steps.append(Step(name="synonym", detail=f"'{phrase}' also as '{also}'"))
        return Understanding(
            raw=raw,
            text=text,
            language=language or self._language(text),
            terms=terms,
            expansions=tuple(expansions),
            negated=self.analyser.query_terms(negated.ruled_out) if negated.ruled_out else (),
            excluded=excluded,
            intents=tuple(intents),
            filters=filters,
            corrected=corrected,
            suggestion=suggestion,
            steps=tuple(steps),
        )

    def _language(self, text: str) -> str | None:
        """The only language that the catalogue has; None when it has several."""
        return self.analyser.languages[0] if len(self.analyser.languages) == 1 else None

    def _spelled(self, text: str) -> tuple[str, float]:
        """The text with unknown words corrected, and how sure that is (the least sure word)."""
        confidence = 1.0
        words = []
        for word in text.split():
            core = fold(word)
            if self._is_known(core):
                words.append(word)
                continue
            correction = self._vocabulary.correct(core)
            if correction is None:
                words.append(word)
                continue
            words.append(correction.word)
            confidence = min(confidence, correction.confidence)
        return " ".join(words), confidence

    def _is_known(self, word: str) -> bool:
        """In the catalogue, as typed, by stem or as two words run together."""
        if word in self._vocabulary or word in self.analyser.stop_words:
            return True
        terms = self.analyser.query_terms(word)
        if any(f in self._terms for t in terms for f in t.forms):
            return True
        return any(
            word[:i] in self._vocabulary and word[i:] in self._vocabulary
            for i in range(3, len(word) - 2)
        )

    def _compounds(self, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        """Words that the catalogue writes as one, or as two, match either way: 'head set' finds
        headset, 'earbuds' finds ear buds."""
        out: list[Term] = []
        at = 0
        while at < len(terms):
            here = terms[at]
            after = terms[at + 1] if at + 1 < len(terms) else None
            if after is not None and min(len(here.text), len(after.text)) > 2:
                joined = self.analyser.query_terms(here.text + after.text)
                if (
                    len(here.text + after.text) >= 6
                    and len(joined) == 1
                    and any(self._terms.get(f, 0) > 1 for f in joined[0].forms)
                ):
                    out.append(joined[0])
                    at += 2
                    continue
            out.append(here)
            at += 1
        return tuple({t.forms: t for t in reversed(out)}.values())[::-1]

    # --- Relaxation ---------------------------------------------------------------------------

    def relaxations(self, u: Understanding) -> Iterator[tuple[Understanding, str]]:
        """Ever weaker versions of a query that matched nothing, each with what was given up."""
        loose = u
        if u.suggestion:
            corrected = self.understand(u.suggestion, u.language)
            yield corrected, f"Nothing matches “{u.text}”. Showing results for “{u.suggestion}”."
        if not u.filters.is_empty():
            loose = u.model_copy(update={"filters": Filters()})
            yield loose, "Nothing matches within that price. Showing any price."
        if loose.expansions:
            parts = tuple(t.model_copy(update={"weight": 1.0}) for t in loose.expansions)
            yield (
                loose.model_copy(update={"terms": parts, "expansions": ()}),
                "Nothing has these words. Showing what is called by another name.",
            )
        terms = sorted(loose.terms, key=self._rarity)
        for keep in range(len(terms) - 1, 0, -1):
            kept = set(terms[len(terms) - keep :])
            rest = tuple(t for t in loose.terms if t in kept)
            dropped = ", ".join(f"“{t.text}”" for t in loose.terms if t not in kept)
            yield (
                loose.model_copy(update={"terms": rest}),
                f"Nothing matches all the words. Showing results without {dropped}.",
            )
        for term in reversed(terms):
            yield (
                loose.model_copy(update={"terms": (term,)}),
                f"Nothing matches all the words. Showing results for “{term.text}”.",
            )

    def _rarity(self, term: Term) -> float:
        """idf; words that the catalogue does not have come first, as the first to go."""
        count = max((self._terms.get(f, 0) for f in term.forms), default=0)
        return math.log((self._products + 1) / count) if count else -1.0

    # --- Beside -------------------------------------------------------------------------------

    def suggest(self, prefix: str, limit: int = 8, language: str | None = None) -> list[Suggestion]:
        """Completions of what is being typed; the catalogue's phrases, in any language."""
        return self._completions.suggest(prefix[:100], limit)

    def category_distribution(self, u: Understanding) -> dict[str, float]:
        """P(category path | query); empty when nothing is known about the words."""
        return self._categories.distribution(u.terms) if u.terms else {}
