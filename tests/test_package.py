"""The package as its users meet it: light to import, documented, honest in its pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.cli.reference import PAGES, commands
from tandem.ranking.business import BusinessPolicy, Rule
from tandem.storage.layout import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md"))


def test_importing_tandem_imports_nothing_heavy():
    code = "import sys, tandem; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"torch", "numpy", "pyarrow", "faiss", "onnxruntime", "lightgbm", "fastapi", "pandas"}
    assert not heavy & set(loaded)


def test_searching_never_imports_torch(simulated_shop):
    code = (
        "import sys, tandem\n"
        f"with tandem.open({str(simulated_shop)!r}) as shop: shop.search('lamp')\n"
        "assert 'torch' not in sys.modules and 'lightgbm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("page", PAGES)
def test_reference_pages_are_up_to_date(page):
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == PAGES[page](), "run: make docs"


def test_every_command_is_named_in_the_readme_or_reference():
    for name, command in commands():
        assert f"`{name}`" in DOCS
        assert command.help, f"{name} has no help"
        assert "Example" in command.help, f"{name} shows no example"


def test_every_setting_and_rule_field_is_documented():
    settings = [f for f in Settings.__dataclass_fields__ if f != "extra"]
    for field in (*settings, *Rule.model_fields, *BusinessPolicy.model_fields):
        assert f"`{field}`" in DOCS, f"{field} is not in docs/"


def test_adr_links_and_doc_links_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
