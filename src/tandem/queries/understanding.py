"""Reading one query: each step says what it saw and what it did about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tandem.contracts.search import Filters, Intent, Step, Term, Understanding
from tandem.queries.analysis import Analyser
from tandem.queries.categories import CategoryModel
from tandem.queries.compounds import MIN_PART, Compounds
from tandem.queries.intents import Gazetteer, Measures
from tandem.queries.languages import language_of
from tandem.queries.negation import Negated, negations, triggers
from tandem.queries.normalise import fold, normalise
from tandem.queries.prices import Price, price_of
from tandem.queries.synonyms import Synonyms
from tandem.queries.vocabulary import SURE, Vocabulary

PRICE_CONFIDENCE = 0.95
NEGATION_CONFIDENCE = 0.9
_EDGES = ".,;:!?()[]{}\"'"


class Reader:
    """Reads queries by what one catalogue is known to say. Safe for many threads."""

    def __init__(
        self,
        analyser: Analyser,
        vocabulary: Vocabulary,
        terms: Mapping[str, int],
        compounds: Compounds,
        gazetteer: Gazetteer,
        measures: Measures,
        synonyms: Synonyms,
        categories: CategoryModel,
    ) -> None:
        self._analyser = analyser
        self._vocabulary = vocabulary
        self._terms = terms
        self._compounds = compounds
        self._gazetteer = gazetteer
        self._measures = measures
        self._synonyms = synonyms
        self._categories = categories
        self._negations = triggers(analyser.languages)

    def read(self, raw: str, language: str | None, rewrite: bool) -> Understanding:
        """What a query means. `rewrite=False` takes the words as typed: neither spelling nor
        synonyms."""
        text = normalise(raw)
        steps = [Step(name="normalise", detail=f"searching for '{text}'")]
        if language is None:
            language = language_of(text, self._analyser.languages)
        price = price_of(text)
        if not self._analyser.query_terms(price.text):
            price = Price(text)
        intents, filters = _price_intents(price, steps)
        whole, text = text, price.text
        corrected = suggestion = None
        if rewrite:
            text, corrected, suggestion = self._spell(whole, text, steps)
        negated = negations(text, self._negations)
        typed = self._analyser.query_terms(negated.text, language)
        if not typed:  # what is left has no words: then nothing was ruled out
            negated = Negated(text)
            typed = self._analyser.query_terms(text, language)
        if negated.ruled_out or negated.excluded:
            said = ", ".join(filter(None, (negated.ruled_out, *negated.excluded)))
            steps.append(
                Step(name="negation", detail=f"rules out '{said}'", confidence=NEGATION_CONFIDENCE)
            )
        terms, expansions = self._compounds.joined(typed) if rewrite else (typed, ())
        if terms != typed:
            words = " ".join(t.text for t in terms)
            steps.append(Step(name="compounds", detail=f"searching for the words '{words}'"))
        intents += self._named(typed, terms, steps)
        if negated.ruled_out:
            intents.append(
                Intent(
                    kind="exclude",
                    value=negated.ruled_out,
                    confidence=NEGATION_CONFIDENCE,
                    text=negated.ruled_out,
                )
            )
        if rewrite:
            expansions = self._synonyms_of(terms, expansions, steps)
        return Understanding(
            raw=raw,
            text=text,
            language=language,
            terms=terms,
            expansions=expansions,
            negated=self._analyser.query_terms(negated.ruled_out, language),
            excluded=tuple(
                t for w in negated.excluded for t in self._analyser.query_terms(w, language)
            ),
            intents=tuple(intents),
            filters=filters,
            corrected=corrected,
            suggestion=suggestion,
            steps=tuple(steps),
        )

    # --- Spelling -----------------------------------------------------------------------------

    def _spell(
        self, whole: str, text: str, steps: list[Step]
    ) -> tuple[str, str | None, str | None]:
        """(text to search for, whole query as corrected, whole query as perhaps meant)."""
        replaced: dict[str, str] = {}
        confidence = 1.0
        for word in text.split():
            core = word.strip(_EDGES)
            if word.startswith("-") or self._is_known(fold(core)):
                continue
            if correction := self._vocabulary.correct(fold(core)):
                replaced[word] = word.replace(core, correction.word)
                confidence = min(confidence, correction.confidence)
        if not replaced:
            return text, None, None
        read, meant = (
            " ".join(replaced.get(w, w) for w in words.split()) for words in (text, whole)
        )
        sure = confidence >= SURE
        old, new = (", ".join(side) for side in (replaced, replaced.values()))
        detail = f"'{old}' read as '{new}'" if sure else f"perhaps '{new}' was meant by '{old}'"
        steps.append(Step(name="spelling", detail=detail, confidence=round(confidence, 3)))
        return (read, meant, None) if sure else (text, None, meant)

    def _is_known(self, word: str) -> bool:
        """In the catalogue as typed, by its stem, or as two words run together; or a word that
        the reader itself understands."""
        if word in self._vocabulary or word in self._analyser.stop_words | self._negations:
            return True
        terms = self._analyser.query_terms(word)
        if any(f in self._terms for t in terms for f in t.forms) or self._synonyms.has(terms):
            return True
        return any(
            self._vocabulary.is_common(word[:i]) and self._vocabulary.is_common(word[i:])
            for i in range(MIN_PART, len(word) - MIN_PART + 1)
        )

    # --- Intents ------------------------------------------------------------------------------

    def _named(
        self, typed: Sequence[Term], terms: Sequence[Term], steps: list[Step]
    ) -> list[Intent]:
        """Brands, categories, attribute values and quantities, each in a step of its own."""
        likely = self._categories.distribution(terms) if terms else {}
        found = {
            (i.kind, i.value, i.field): i
            for words in (typed, terms)
            for i in self._gazetteer.intents(words, likely)
        }
        intents = [*found.values(), *self._measures.intents(terms)]
        for intent in intents:
            field = f"{intent.field}: " if intent.field else ""
            steps.append(
                Step(
                    name=intent.kind,
                    detail=f"'{intent.text}' may mean {field}{intent.value}",
                    confidence=intent.confidence,
                )
            )
        return intents

    def _synonyms_of(
        self, terms: Sequence[Term], expansions: tuple[Term, ...], steps: list[Step]
    ) -> tuple[Term, ...]:
        found = list(expansions)
        for phrase, more in self._synonyms.expansions(terms):
            known = tuple(t for t in more if any(f in self._terms for f in t.forms))
            if known:
                found += known
                also = " ".join(t.text for t in known)
                steps.append(Step(name="synonym", detail=f"'{phrase}' also as '{also}'"))
        have = {t.forms for t in terms}
        return tuple({t.forms: t for t in found if t.forms not in have}.values())


def _price_intents(price: Price, steps: list[Step]) -> tuple[list[Intent], Filters]:
    if not price.said:
        return [], Filters()
    steps.append(
        Step(name="price", detail=f"'{price.said}' is a price", confidence=PRICE_CONFIDENCE)
    )
    intents = [
        Intent(kind=kind, value=str(bound), confidence=PRICE_CONFIDENCE, hard=True, text=price.said)
        for kind, bound in (("price_min", price.least), ("price_max", price.most))
        if bound is not None
    ]
    return intents, Filters(price_min=price.least, price_max=price.most)
