import pyarrow as pa
import pytest

from tandem.insights.drift import drift
from tandem.insights.tables import Tables
from tandem.simulate.shoppers import SCHEMA, simulated_shopping

WEEK = 7 * 86_400_000_000


def compared(*tables_of_events: pa.Table):
    with Tables(memory="800MB") as tables:
        tables.load(pa.concat_tables(tables_of_events))
        return drift(tables)


def cut(events: pa.Table, last_week: bool) -> pa.Table:
    import pyarrow.compute as pc

    start = pc.min(events["timestamp"]).as_py() // 86_400_000_000 * 86_400_000_000
    late = pc.greater_equal(events["timestamp"], start + 3 * WEEK)
    return events.filter(late if last_week else pc.invert(late))


@pytest.fixture(scope="module")
def calm() -> pa.Table:
    return simulated_shopping(8_000, seed=21, products=2_000).events


def test_a_calm_shop_has_no_alerts(calm):
    found = compared(calm)
    assert [a.says for a in found.alerts] == []
    assert found.tests > 50
    assert len(found.days) == 28


def test_what_breaks_last_week_is_told_with_its_reason(calm):
    broken = simulated_shopping(
        8_000, seed=21, products=2_000, broken=("filters_too_tight", "device")
    )
    found = compared(cut(calm, last_week=False), cut(broken.events, last_week=True))
    alerts = {a.name: a for a in found.alerts}
    zero = alerts["zero_results"]
    assert zero.worse
    assert zero.low is not None
    assert zero.low > 0
    assert zero.reasons
    assert all("moves it by +" in reason for reason in zero.reasons)
    assert alerts["added_to_cart"].worse
    assert found.now_from == found.days[-7]["day"]


def test_another_mix_of_languages_is_told(calm):
    import pyarrow.compute as pc

    late = cut(calm, last_week=True)
    only = late.filter(pc.equal(late["language"], "de"))
    found = compared(cut(calm, last_week=False), only)
    mixes = {a.name: a for a in found.alerts if a.kind == "mix"}
    assert "language" in mixes
    assert any(r.startswith("de") for r in mixes["language"].reasons)


def test_too_few_days_are_not_compared():
    found = compared(simulated_shopping(300, seed=1, days=2, products=1_500).events)
    assert (found.alerts, found.now_from) == ((), None)
    assert compared(SCHEMA.empty_table()).days == ()
