"""From columns to fields, by declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.ingest.mapping import (
    ESCI,
    ICECAT,
    READY,
    TANDEM,
    AttributeColumns,
    ColumnMapping,
    detect,
    find_mapping,
)


def mapping(**declared: Any) -> ColumnMapping:
    fields = {"id": "id", "title": "title", **declared.pop("fields", {})}
    return ColumnMapping.model_validate({"fields": fields, **declared})


def test_rename_first_value_join_constant_and_default() -> None:
    draft = mapping(
        fields={
            "title": {"from": ["name", "label"]},
            "description": {"from": ["text", "bullets"], "join": "\n"},
            "brand": {"from": "maker", "default": "No name", "missing": ["N/A"]},
            "language": {"constant": "en"},
        }
    ).apply({"id": "1", "name": "", "label": " L ", "text": " a ", "bullets": ["b", None, "c"]})
    assert (draft["title"], draft["description"]) == ("L", "a\nb\nc")
    assert (draft["brand"], draft["language"]) == ("No name", "en")


def test_lists_are_split_collected_and_cleaned() -> None:
    draft = mapping(
        fields={
            "category": {"from": "path", "split": ">"},
            "identifiers": {"from": ["sku", "ean"], "missing": ["0"]},
            "images": "pictures",
        }
    ).apply({"path": " A > B >", "sku": "s", "ean": ["1", "0", ""], "pictures": '["x", "y"]'})
    assert draft["category"] == ["A", "B"]
    assert draft["identifiers"] == ["s", "1"]
    assert draft["images"] == ["x", "y"]


def test_attribute_groups_by_prefix_and_by_column() -> None:
    draft = mapping(
        attributes=[
            {"prefix": "n_", "type": "number"},
            {"prefix": "t_", "type": "text"},
            {"column": "color", "name": "colour"},
        ]
    ).apply({"n_watt": 5, "t_watt": "five", "color": "red", "n_none": None, "other": 1})
    assert draft["attributes"] == {
        "watt": (5, "number"),
        "watt_text": ("five", "text"),
        "colour": ("red", "any"),
    }
    assert draft["extra"] == {"other": 1}


def test_extra_can_be_left_behind() -> None:
    assert "extra" not in mapping(keep_extra=False).apply({"id": "1", "other": 2})


def test_esci_and_icecat() -> None:
    esci = ESCI.apply(
        {
            "product_id": "B1",
            "title": "T",
            "description": "",
            "bullet_points": "one\ntwo",
            "color": "Red",
            "category": ["A", "B"],
            "price": 9.5,
        }
    )
    assert (esci["id"], esci["description"], esci["language"]) == ("B1", "one\ntwo", "en")
    assert esci["attributes"] == {"color": ("Red", "text")}
    assert esci["category"] == ["A", "B"]
    icecat = ICECAT.apply(
        {
            "id": "7",
            "name": "XR-1",
            "title": "T",
            "ean": ["4006381333931"],
            "supplier": "HP",
            "attr_t_product_type": "Notebook",
            "attr_b_wifi": True,
            "attr_n_weight": 2.5,
        }
    )
    assert icecat["identifiers"] == ["XR-1", "4006381333931"]
    assert (icecat["brand"], icecat["merchant"], icecat["category"]) == ("HP", "HP", ["Notebook"])
    assert icecat["attributes"] == {
        "product_type": ("Notebook", "text"),
        "wifi": (True, "flag"),
        "weight": (2.5, "number"),
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["product_id", "title", "bullet_points"], ESCI),
        (["id", "title", "attr_n_weight"], ICECAT),
        (["id", "title", "whatever"], TANDEM),
        (["product_id", "product_title"], TANDEM),
    ],
)
def test_detection(columns: list[str], expected: ColumnMapping) -> None:
    assert detect(columns, Path("x.csv")) is expected


def test_detection_says_what_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"no column for the id.*has ref, title"):
        detect(["ref", "title"], Path("x.csv"))


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ("fields = 3", "fields"),
        ('[fields]\nid = "a"', None),
        ('[fields]\nid = "a"\ntitle = "b"\ncolour = "c"', None),
        ('[fields]\nid = "a"\ntitle = {}', "fields.title"),
        ('[fields]\nid = "a"\ntitle = { from = "b", spilt = "," }', "fields.title.spilt"),
        ('[fields]\nid = "a"\ntitle = "b"\n[[attributes]]\ntype = "text"', "attributes.0"),
        (
            '[fields]\nid = "a"\ntitle = "b"\n[[attributes]]\nprefix = "x"\ntype = "colour"',
            "attributes.0.type",
        ),
        ("[fields", None),
    ],
)
def test_a_wrong_mapping_file_names_the_key(tmp_path: Path, toml: str, where: str | None) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(toml)
    with pytest.raises(InvalidInput) as caught:
        ColumnMapping.load(file)
    assert (caught.value.file, caught.value.field) == (str(file), where)


def test_find_by_name_by_file_and_by_object(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[fields]\nid = "sku"\ntitle = "name"')
    assert find_mapping("esci") is ESCI
    assert find_mapping(ICECAT) is ICECAT
    assert find_mapping(None) is None
    found = find_mapping(file)
    assert found is not None
    assert (found.name, found.columns) == ("shop", {"sku", "name"})


def test_an_attribute_rule_needs_one_source() -> None:
    with pytest.raises(ValueError, match="either"):
        AttributeColumns(prefix="a", column="b")


def test_the_documentation_names_every_ready_mapping_and_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    for name in (*READY, *TANDEM.fields):
        assert f"`{name}`" in page
