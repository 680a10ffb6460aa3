"""`tandem studio` on a simulated shop."""

from __future__ import annotations

import io
import json

import pytest
from test_commands import run  # noqa: F401 - the fixture

import tandem


@pytest.fixture
def product(simulated_shop) -> str:
    with tandem.open(simulated_shop) as shop:
        return shop.search("", k=1).hits[0].product.id


def test_brief_caption_and_check(run, simulated_shop, product, tmp_path, monkeypatch):  # noqa: F811
    code, out, _ = run("studio", "brief", product, "-w", simulated_shop, "--json")
    brief = json.loads(out)
    assert code == 0
    assert brief["simulated"] is True
    assert len(brief["hooks"]) == 3
    assert "SIMULATED" in run("studio", "brief", product, "-w", simulated_shop)[1]
    code, out, _ = run("studio", "caption", product, "-w", simulated_shop, "--json")
    captions = [c["text"] for c in json.loads(out)["captions"]]
    assert len(captions) == 3
    assert "#ad" in run("studio", "caption", product, "-w", simulated_shop)[1]
    text = tmp_path / "caption.txt"
    text.write_text(captions[0])
    code, out, _ = run("studio", "check", product, text, "-w", simulated_shop, "--json")
    assert (code, json.loads(out)["ready"]) == (0, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(captions[0].replace("#ad", "") + " It cures all."))
    code, out, _ = run("studio", "check", product, "-", "-w", simulated_shop)
    assert code == 1
    assert "MUST disclosure" in out
    assert "'cures' is unsupported" in out
    assert "Not ready." in out


def test_what_is_not_there_is_said(run, simulated_shop, product, tmp_path):  # noqa: F811
    for arguments, code, says in (
        (("brief", "none"), 3, "none"),
        (("check", product, tmp_path / "none.txt"), 2, "none.txt"),
    ):
        found, _, err = run("studio", *arguments, "-w", simulated_shop)
        assert found == code
        assert says in err
        assert "Remedy" in err
