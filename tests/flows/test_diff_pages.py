"""`tandem evaluate --diff`: the page of two systems side by side."""

from __future__ import annotations

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.flows.evaluate import diff_systems, write_diff
from tandem.flows.workspace import open_workspace


def test_the_page_says_what_changes_by_title(simulated_shop, tmp_path):
    with open_workspace(simulated_shop) as shop:
        found = diff_systems(shop, None, ["bm25", "ltr"])
        assert "learned from" in " ".join(found.evaluation.warnings)
        write_diff(shop, found, tmp_path / "diff.html")
        changed = (*found.worse, *found.better)[0]
        title = shop.product(changed.moves[0].product_id).title
        with pytest.raises(InvalidInput, match="two"):
            diff_systems(shop, None, ["bm25"])
        with pytest.raises(InvalidInput, match=r"\.html or \.md"):
            write_diff(shop, found, tmp_path / "diff.txt")
    page = (tmp_path / "diff.html").read_text()
    assert "Simulated" in page
    assert title in page
    assert changed.query in page
