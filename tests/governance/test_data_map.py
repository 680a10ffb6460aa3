"""The data map: complete, in fideslang's words, as the workspace has it."""

from __future__ import annotations

import json
import pkgutil
from pathlib import Path

import pytest

from tandem import contracts
from tandem.contracts.consent import DEFAULT_BASES, Basis, Purpose
from tandem.contracts.events import AdmittedEvent
from tandem.governance import data_map as module
from tandem.governance.data_map import COLLECTIONS, data_map, fields_of, unannotated
from tandem.governance.retention import DEFAULT_DAYS

# Keys of fideslang's default taxonomy. The manifest was also loaded with fideslang's own models;
# the library is no dependency, since it holds pydantic back.
TAXONOMY = json.loads((Path(__file__).parent / "fideslang_taxonomy.json").read_text())


def test_every_field_of_every_stored_record_is_annotated():
    assert unannotated() == []


# Vocabularies that no store keeps records of: requests, answers and reports on their way.
NOT_STORED = frozenset(
    {
        "artefact",
        "brief",
        "candidates",
        "clicks",
        "disclosure",
        "errors",
        "insight",
        "listing",
        "matching",
        "merchant_week",
        "privacy",
        "recommend",
    }
    # `running` is kept within experiments and slots.
    | {"run", "running", "search", "search_performance", "studio", "video"}
)


def test_every_contract_is_in_the_map_or_said_not_to_be_stored():
    mapped = {c.of.__module__.rpartition(".")[2] for c in COLLECTIONS}
    there = {m.name for m in pkgutil.iter_modules(contracts.__path__)}
    assert there - mapped - NOT_STORED == set(), "add a Collection, or say that nothing is stored"
    assert not NOT_STORED & mapped


def test_a_field_that_nobody_annotated_is_found(monkeypatch):
    class Grown(AdmittedEvent):
        shoe_size: int

    events = COLLECTIONS[0]
    grown = module.Collection(**{**events.__dict__, "of": Grown})
    monkeypatch.setattr(module, "COLLECTIONS", (grown,))
    fields_of.cache_clear()
    assert unannotated() == ["events.shoe_size"]


def test_identifiers_are_pseudonymous_and_queries_are_search_history():
    events = COLLECTIONS[0].fields
    for name in ("client", "session", "user", "order"):
        assert events[name] == ("user.unique_id.pseudonymous",)
    assert events["user_query"] == ("user.behavior.search_history",)


def manifest(**changes):
    return data_map({**DEFAULT_BASES, **changes}, DEFAULT_DAYS)


def test_all_words_are_fideslangs():
    found = manifest()
    (dataset,), (system,) = found["dataset"], found["system"]
    for collection in dataset["collections"]:
        assert set(collection["data_subjects"]) <= set(TAXONOMY["data_subject"])
        for field in collection["fields"]:
            assert field["data_categories"]
            assert set(field["data_categories"]) <= set(TAXONOMY["data_category"])
    for declaration in system["privacy_declarations"]:
        assert declaration["data_use"] in TAXONOMY["data_use"]
        assert set(declaration["data_categories"]) <= set(TAXONOMY["data_category"])
        assert set(declaration["data_subjects"]) <= set(TAXONOMY["data_subject"])
    assert [d["name"] for d in system["privacy_declarations"]] == list(Purpose)


@pytest.mark.parametrize("basis", [Basis.CONSENT, Basis.LEGITIMATE_INTERESTS, Basis.CONTRACT])
def test_the_legal_basis_is_the_workspaces(basis):
    found = manifest(**{Purpose.ANALYTICS: basis})
    declared = {d["name"]: d for d in found["system"][0]["privacy_declarations"]}
    said = {"consent": "Consent", "contract": "Contract"}.get(basis, "Legitimate interests")
    assert declared["analytics"]["legal_basis_for_processing"] == said
    assert declared["analytics"]["retention_period"] == "395 days"


def test_field_types_are_read_from_the_contract():
    collections = {c["name"]: c for c in manifest()["dataset"][0]["collections"]}
    kinds = {f["name"]: f["fides_meta"]["data_type"] for f in collections["events"]["fields"]}
    assert kinds["client"] == "string"
    assert kinds["timestamp"] == "integer"
    assert kinds["object_ids"] == "string[]"
    assert kinds["seconds"] == "float"
