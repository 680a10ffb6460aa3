from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_market import small_market

from tandem.matching.files import FILES, TRAIN
from tandem.matching.market import Collaborations, HeldOut, Market, leave_brands_out


@pytest.fixture(scope="session")
def market() -> tuple[Market, Collaborations]:
    return small_market()


@pytest.fixture(scope="session")
def held(market: tuple[Market, Collaborations]) -> HeldOut:
    return next(leave_brands_out(market[1], 3, seed=1))


@pytest.fixture(scope="session")
def folder(
    market: tuple[Market, Collaborations], held: HeldOut, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The market as files: profiles and train.csv without the held-out brands, and test.csv."""
    root = tmp_path_factory.mktemp("collaborations")
    people, known = market
    for kind, accounts in (("brand", people.brands), ("creator", people.creators)):
        columns = {
            kind: list(accounts.ids),
            "topics": accounts.topics.tolist(),
            "hashtags": accounts.hashtags.tolist(),
        }
        pq.write_table(pa.table(columns), root / FILES[kind])

    def write(name: str, collaborations: Collaborations) -> None:
        with (root / name).open("w", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(["brand", "creator", "label"])
            for brand, creator in collaborations.pairs:
                out.writerow([people.brands.ids[brand], people.creators.ids[creator], 3])

    write(TRAIN, held.train)
    write("test.csv", known.of(held.brands))
    return root
