from tandem.insights.failures import find_failures
from tandem.insights.tables import Tables, product_table
from tandem.reports.insights import SHARES, markdown_page
from tandem.simulate.shoppers import simulated_shopping


def document(**changes):
    shopping = simulated_shopping(4_000, seed=5, broken=("missing_product", "language"))
    with Tables(memory="800MB") as tables:
        tables.load(shopping.events)
        tables.catalogue(product_table(shopping.products))
        found = find_failures(tables)
    health = dict.fromkeys((name for name, _ in SHARES), 0.125)
    return {
        "simulated": True,
        "searches": found.searches,
        "sessions": found.sessions,
        "tests": found.tests,
        "false_discovery_rate": 0.05,
        "currency": "EUR",
        "period": {"from": "2026-03-01T00:00:00+00:00", "to": None},
        "health": health | {"good_abandoned": None},
        "drift": {
            "now_from": "2026-03-22",
            "alerts": [{"says": "<b>x</b> more", "reasons": ["'a|b'"]}],
        },
        "findings": [{"rank": i, **f.to_json()} for i, f in enumerate(found.findings, start=1)],
    } | changes


def test_a_page_tells_every_finding_and_that_it_is_simulated():
    given = document()
    page = markdown_page(given)
    assert "**Simulated**" in page
    assert "2026-03-01 to unknown" in page
    assert "| were abandoned, and something shown was bought all the same | unknown |" in page
    assert given["findings"]
    for finding in given["findings"]:
        assert f"### {finding['rank']}. " in page
        assert f"tandem insights try {finding['id']}" in page
    assert "\\<b\\>x\\</b\\> more" in page  # what was typed is no markup
    assert "a\\|b" in page
