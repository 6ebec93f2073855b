"""Price files: what they replace, and what is wrong with a wrong one. The AWS Price List's products as prices."""

import json
from pathlib import Path
from typing import Any

import pytest

from bedrock.catalog import default_catalog
from bedrock.price_list import parse_product, prices_of
from bedrock.prices import PriceFile, PricesError, catalog_with, read_prices

PRO, HAIKU = "amazon.nova-pro-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_price_file_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = written(
        tmp_path / "prices.yaml",
        f"as_of: 2027-01-01\nprices:\n  {PRO}:\n    geo_factor: 2\n    default: {{input: 10, output: 20}}\n",
    )

    catalog, shipped = catalog_with(path), default_catalog()

    assert catalog.price(PRO, "default") == shipped.price(PRO, "default").__class__(10, 20)
    assert catalog.price(f"us.{PRO}", "default").input == 20
    assert catalog.price(PRO, "priority") == shipped.price(PRO, "priority")
    assert catalog.price(HAIKU, "default") == shipped.price(HAIKU, "default")
    assert catalog.as_of.startswith("2027-01-01")
    assert shipped.price(PRO, "default").input == 0.8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices: {}", "it needs as_of"),
        ("[1, 2", "Cannot use"),
        ("as_of: x\nprices:\n  amazon.nova-po-v1:0: {default: {input: 1, output: 1}}", f"Did you mean {PRO}?"),
        (f"as_of: x\nprices:\n  {PRO}: {{prio: {{input: 1, output: 1}}}}", "'prio' is not one of default"),
        (f"as_of: x\nprices:\n  {PRO}: {{default: {{input: 1}}}}", "default needs input and output"),
        (f"as_of: x\nprices:\n  {PRO}: {{default: {{input: .nan, output: -1}}}}", "input nan is no price"),
        (f"as_of: x\nprices:\n  {PRO}: {{default: {{input: 1, output: 1, in: 2}}}}", "unknown key 'in'"),
        (f"as_of: x\nprices:\n  {PRO}: {{geo_factor: 0}}", "geo_factor 0 is no factor"),
        ("as_of: x\ncurrency: EUR\nschema_version: 9\nprices: {}", "unknown key 'currency'"),
    ],
)
def test_a_wrong_price_file_is_refused_with_all_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PricesError) as caught:
        read_prices(written(tmp_path / "prices.yaml", text))

    assert said in str(caught.value).replace("Did you mean amazon.nova-pro-v1:0", f"Did you mean {PRO}?")
    assert "\n" not in str(caught.value)


def test_a_missing_price_file_is_refused() -> None:
    with pytest.raises(PricesError, match="No such file"):
        read_prices(Path("/nowhere.yaml"))


def product(usd: str, unit: str, **attributes: str) -> str:
    """One entry of GetProducts, cut to what is read of it."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "description": "", "rateCode": "x"}
    content: dict[str, Any] = {
        "serviceCode": "AmazonBedrock",
        "product": {"sku": "x", "attributes": {"regionCode": "us-east-1", **attributes}},
        "terms": {"OnDemand": {"x.y": {"priceDimensions": {"x.y.z": dimension}}}},
    }
    return json.dumps(content)


def nova(usd: str, kind: str, usagetype: str) -> str:
    return product(
        usd, "1K tokens", model="Nova Pro", inferenceType=kind, usagetype=f"USE1-NovaPro-{usagetype}",
        feature="On-demand Inference",
    )  # fmt: skip


def claude(usd: str, usagetype: str, name: str = "Claude Haiku 4.5") -> str:
    return product(
        usd, "Units", servicename=f"{name} (Amazon Bedrock Edition)", usagetype=f"USE1-MP:USE1_{usagetype}-Units"
    )


NOVA_PRO = [
    nova("0.0008", "Input tokens", "input-tokens"),
    nova("0.0032", "Output tokens", "output-tokens"),
    nova("0.0002", "Prompt cache read input tokens", "cache-read-input-token-count"),
    nova("0.0014", "Input tokens priority", "input-tokens-priority"),
    nova("0.0056", "Output tokens priority", "output-tokens-priority"),
    nova("0.0004", "Input tokens batch", "input-tokens-batch"),
    nova("0.001", "Input tokens", "input-tokens-latency-optimized"),
]


def test_the_price_lists_products_become_prices_by_tier_and_cache_class() -> None:
    found = prices_of(NOVA_PRO, default_catalog())

    assert set(found) == {PRO}
    default, priority = found[PRO].tiers["default"], found[PRO].tiers["priority"]
    assert (default.input, default.output, default.cache_read) == pytest.approx((0.8, 3.2, 0.2))
    assert (priority.input, priority.output) == pytest.approx((1.4, 5.6))
    assert "flex" not in found[PRO].tiers


@pytest.mark.parametrize("names", [("InputTokenCount", "OutputTokenCount"), ("input_tokens", "output_tokens")])
def test_marketplace_models_have_a_global_price_and_a_factor_for_geographic_profiles(names: tuple[str, str]) -> None:
    standard = "_standard" if names[0].islower() else ""
    worldwide = "_global_standard" if standard else "_Global"
    products = [
        claude("1.1", f"{names[0]}{standard}"), claude("5.5", f"{names[1]}{standard}"),
        claude("1.0", f"{names[0]}{worldwide}"), claude("5.0", f"{names[1]}{worldwide}"),
    ]  # fmt: skip

    prices = prices_of(products, default_catalog())[HAIKU]

    assert (prices.tiers["default"].input, prices.tiers["default"].output) == (1.0, 5.0)
    assert prices.geo_factor == pytest.approx(1.1)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", '{"product": {"attributes": 3}, "terms": {"OnDemand": {}}}',
        product("0.04", "image", model="Nova Canvas", inferenceType="T2I 1024 Standard"),
        product("x", "1K tokens", model="Nova Pro", inferenceType="Input tokens"),
        product("NaN", "1K tokens", model="Nova Pro", inferenceType="Input tokens"),
    ],
)  # fmt: skip
def test_what_is_no_token_price_is_passed_over(text: str) -> None:
    assert parse_product(text) is None


def test_unknown_models_and_contradictions_are_left_out() -> None:
    assert prices_of([claude("9", "InputTokenCount", "Claude Nobody 9")], default_catalog()) == {}
    contradicting = [*NOVA_PRO, nova("0.0009", "Input tokens", "input-tokens")]
    assert prices_of(contradicting, default_catalog()) == {}


def test_a_written_price_file_reads_back_as_itself(tmp_path: Path) -> None:
    file = PriceFile("2026-11-21", "AWS", "us-east-1", prices_of(NOVA_PRO, default_catalog()))

    assert read_prices(written(tmp_path / "p.yaml", file.text())) == file
