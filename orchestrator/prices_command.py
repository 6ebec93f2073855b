"""`prices`: which prices are in force, and `--refresh`: those of the AWS Price List, written to a price file."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.session
from botocore.config import Config
from rich import box
from rich.table import Table

from bedrock.catalog import Catalog, default_catalog
from bedrock.outcome import mask_accounts
from bedrock.price_list import OFFERS, prices_of
from bedrock.prices import PriceFile, catalog_with
from orchestrator.answer import Answer, RefusalError
from orchestrator.exit_codes import ExitCode
from orchestrator.flags import DEFAULT_REGION
from orchestrator.tables import MISSING
from reports.text import clean
from scenarios.run_directory import write_text

DESCRIPTION = "Print the prices in force, or write those of the AWS Price List to a price file."
EPILOG = "--refresh reads AWS (free of charge; credentials with pricing:GetProducts). Nothing else does."

#: The Price List is served in few regions, and this one has all prices.
_PRICE_LIST_REGION = "us-east-1"
_TIMEOUT_S = 20.0
#: The offers have some thousand products in a region, a hundred to the page.
_MOST_PAGES = 200
#: Notes beyond this number are only counted on a terminal.
_MOST_NOTES = 20


class PriceListError(RefusalError):
    """The Price List cannot be read; the text says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `prices` takes."""
    parser.add_argument("--prices-file", metavar="FILE", help="show the prices with those of this file")
    parser.add_argument("--refresh", type=Path, metavar="FILE", help="write the prices of the AWS Price List to FILE")
    parser.add_argument("--region", metavar="NAME", help="region of these prices; default us-east-1")


def answer(namespace: argparse.Namespace) -> Answer:
    """The command's answer; PriceListError or PricesError says why there is none."""
    shown = namespace.prices_file or os.environ.get("PRICES_FILE")
    lines: list[str] = []
    notes: tuple[str, ...] = ()
    if namespace.refresh is not None:
        _, notes = refresh(namespace.refresh, namespace.region or DEFAULT_REGION)
        shown = str(namespace.refresh)
        lines = [*_notes_text(notes), f"Wrote {shown}: use it with --prices-file {shown}"]
    catalog = prices_in_force(shown)
    document = prices_document(catalog) | {"notes": [clean(note) for note in notes]}
    return Answer(ExitCode.OK, document, [*prices_text(catalog), *lines])


def _notes_text(notes: Sequence[str]) -> list[str]:
    """What the list says and the file does not: its prices stay those of the catalogue."""
    shown = [clean(note) for note in notes[:_MOST_NOTES]]
    more = len(notes) - len(shown)
    title = ["Of the AWS Price List, not used or not there (the catalogue's prices hold):"] if shown else []
    return [*title, *(f"  {note}" for note in shown), *([f"  and {more} more"] if more else [])]


def refresh(path: Path, region: str, client: Any = None) -> tuple[PriceFile, tuple[str, ...]]:
    """Write the Price List's prices of a region to a price file; what of them is not in it. PriceListError.

    Reads AWS, which costs nothing.
    """
    products = list(_products(client or _client(), region))
    found = prices_of(products, default_catalog())
    if not found.models:
        why = f"; {'; '.join(found.notes[:_MOST_NOTES])}" if products and found.notes else ""
        raise PriceListError(
            f"The AWS Price List has {len(products)} products for {region}, and no token price of a known model in "
            f"them{clean(why)}"
        )
    dated = datetime.now(UTC).date().isoformat()
    file = PriceFile(dated, f"AWS Price List, {', '.join(OFFERS)}", region, found.models)
    write_text(path, file.text())
    return file, found.notes


def _client() -> Any:
    config = Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 3})
    try:
        return botocore.session.get_session().create_client("pricing", region_name=_PRICE_LIST_REGION, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise PriceListError(f"The AWS Price List cannot be asked: {mask_accounts(str(error))}") from error


def _products(client: Any, region: str) -> Iterator[str]:
    in_region = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}]
    for offer in OFFERS:
        token: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = _page(client, {"ServiceCode": offer, "Filters": in_region, **token})
            yield from page.get("PriceList", [])
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}


def _page(client: Any, question: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        page: Mapping[str, Any] = client.get_products(**question)
    except botocore.exceptions.NoCredentialsError as error:
        raise PriceListError("No AWS credentials found: the Price List is free of charge, but not anonymous") from error
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise PriceListError(
            f"The AWS Price List cannot be asked: {mask_accounts(str(error))} (allow pricing:GetProducts)"
        ) from error
    return page


def prices_document(catalog: Catalog) -> dict[str, Any]:
    """All prices in force as one JSON document, USD per 1,000,000 tokens."""
    rows = [
        {
            "model_id": model.id,
            "service_tier": tier,
            "input": price.input,
            "output": price.output,
            "cache_read": price.cache_read,
            "cache_write": price.cache_write,
            "geo_factor": model.geo_factor,
        }
        for model in catalog.models.values()
        for tier, price in model.prices.items()
    ]
    return {"schema_version": 1, "as_of": catalog.as_of, "source": catalog.source, "prices": rows}


def prices_text(catalog: Catalog) -> list[Any]:
    """The same as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="USD per 1,000,000 tokens", title_justify="left")
    for index, column in enumerate(("model", "tier", "input", "output", "cache read", "cache write", "geo profiles")):
        table.add_column(column, justify="left" if index < 2 else "right", no_wrap=True)
    for row in prices_document(catalog)["prices"]:
        amounts = (row[kind] for kind in ("input", "output", "cache_read", "cache_write"))
        shown = (MISSING if amount is None else f"{amount:,.4g}" for amount in amounts)
        table.add_row(row["model_id"], row["service_tier"], *shown, f"x {row['geo_factor']:g}")
    return [table, f"Prices as of {catalog.as_of}", f"Source: {catalog.source}"]


def prices_in_force(path: str | None) -> Catalog:
    """The catalogue with the prices of a file, if one is given; PricesError."""
    return catalog_with(Path(path).expanduser() if path else None)
