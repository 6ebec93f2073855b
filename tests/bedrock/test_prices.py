"""Price files: what they replace, and what is wrong with a wrong one. The AWS Price List's products as prices."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bedrock.catalog import default_catalog
from bedrock.price_list import NotUnderstoodError, parse_product, prices_of
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

#: Products as the list has had them in us-east-1 in 2026: attributes, unit and price of each.
LITE = {"model": "Nova 2.0 Lite", "provider": "Amazon"}
REAL = [
    ({**LITE, "inferenceType": "Input tokens", "usagetype": "USE1-Nova2.0Lite-input-tokens"}, "1K tokens", "0.00033"),
    ({**LITE, "inferenceType": "Output tokens", "usagetype": "USE1-Nova2.0Lite-output-tokens"}, "1K tokens", "0.00275"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-input-tokens-cross-region-global"}, "1K tokens", "0.0003"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-output-tokens-cross-region-global"}, "1K tokens", "0.0025"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-cache-read-input-token-count"}, "1K tokens", "0.0000825"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-input-tokens-priority-cross-region-global"}, "1K tokens", "0.000525"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-input-tokens-batch", "feature": "Batch Inference"}, "1K tokens", "0.0001"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-input-tokens-custom-model"}, "1K tokens", "0.0003"),
    ({**LITE, "usagetype": "USE1-Nova2.0Lite-input-tokens-cross-region-global-batch"}, "1K tokens", "0.00015"),
    ({"model": "Claude 3 Haiku", "inferenceType": "Input tokens", "usagetype": "USE1-Claude3Haiku-input-tokens"},
     "1K tokens", "0.00025"),
    ({"titanModel": "Titan Text G1 Express", "inferenceType": "Text Input Tokens",
      "usagetype": "USE1-TitanTextG1-Express-input-tokens"}, "1K tokens", "0.0002"),
    ({"titanModel": "Titan Text G1 Express", "inferenceType": "Text Output Tokens",
      "usagetype": "USE1-TitanTextG1-Express-output-tokens"}, "1K tokens", "0.0006"),
]  # fmt: skip


def test_the_price_lists_products_become_prices_by_tier_and_cache_class() -> None:
    found = prices_of(NOVA_PRO, default_catalog()).models

    assert set(found) == {PRO}
    default, priority = found[PRO].tiers["default"], found[PRO].tiers["priority"]
    assert (default.input, default.output, default.cache_read) == (0.8, 3.2, 0.2)
    assert (priority.input, priority.output) == (1.4, 5.6)
    assert "flex" not in found[PRO].tiers


def test_products_as_the_list_has_them_are_read_and_what_is_missing_is_said() -> None:
    found = prices_of([product(usd, unit, **attributes) for attributes, unit, usd in REAL], default_catalog())

    lite = found.models["amazon.nova-2-lite-v1:0"]
    assert (lite.tiers["default"].input, lite.tiers["default"].output, lite.geo_factor) == (0.3, 2.5, 1.1)
    assert set(lite.tiers) == {"default"}
    assert found.models["amazon.titan-text-express-v1"].tiers["default"].output == 0.6
    notes = "\n".join(found.notes)
    assert "amazon.nova-2-lite-v1:0: no price of output tokens (priority, global)" in notes
    assert "anthropic.claude-3-haiku-20240307-v1:0: no price of output tokens (default, in its Region)" in notes
    assert "Not in the list: anthropic.claude-3-sonnet" in notes


@pytest.mark.parametrize("names", [("InputTokenCount", "OutputTokenCount"), ("input_tokens", "output_tokens")])
def test_marketplace_models_have_a_global_price_and_a_factor_for_geographic_profiles(names: tuple[str, str]) -> None:
    standard = "_standard" if names[0].islower() else ""
    worldwide = "_global_standard" if standard else "_Global"
    products = [
        claude("1.1", f"{names[0]}{standard}"), claude("5.5", f"{names[1]}{standard}"),
        claude("1.0", f"{names[0]}{worldwide}"), claude("5.0", f"{names[1]}{worldwide}"),
    ]  # fmt: skip

    prices = prices_of(products, default_catalog()).models[HAIKU]

    assert (prices.tiers["default"].input, prices.tiers["default"].output) == (1.0, 5.0)
    assert prices.geo_factor == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("usagetype", "kind", "tier", "is_global"),
    [
        ("USE1-NovaPro-output-tokens-flex", "output", "flex", False),
        ("USE1-NovaPro-cache-write-input-token-count", "cache_write", "default", False),
        ("USE1-Nova2.0Pro-text-input-tokens-priority-cross-region-global", "input", "priority", True),
        ("USE1-MP:USE1_CacheReadInputTokenCount_Global-Units", "cache_read", "default", True),
        ("USE1-MP:USE1_cache_write_tokens_5m_global_standard-Units", "cache_write", "default", True),
        ("APN1-MP:APN1_MillionInputTokens_Geo-Units", "input", "default", False),
    ],
)
def test_usage_types_are_read_to_the_last_word(usagetype: str, kind: str, tier: str, is_global: bool) -> None:
    price = parse_product(product("1", "1M tokens", model="Nova Pro", usagetype=usagetype))

    assert price is not None
    assert (price.kind, price.tier, price.is_global) == (kind, tier, is_global)


@pytest.mark.parametrize(
    "usagetype",
    [
        "USE1-MP:USE1_MillionBatchInputTokens-Units", "USE1-MP:USE1_CacheWrite1hInputTokenCount_Global-Units",
        "USE1-MP:USE1_cache_write_tokens_1h_global_standard-Units", "USE1-MP:USE1_input_tokens_long_ctx_standard-Units",
        "USE1-MP:USE1_Reserved_1Month_InputTPM_Geo-Units", "USE1-NovaPro-reserved-1-month-input-tokens-per-minute",
        "USE1-nova-pro-mantle-input-tokens-standard", "USE1-NovaPro-Customization-Training",
        "USE1-Nova2.0Omni-input-audio-token-count", "USE1-NovaPro-cache-write-1h-input-token-count", "",
    ],
)  # fmt: skip
def test_other_products_are_passed_over(usagetype: str) -> None:
    assert parse_product(product("1", "1K tokens", model="Nova Pro", usagetype=usagetype)) is None


@pytest.mark.parametrize(
    ("unit", "usd", "attributes", "said"),
    [
        ("1K tokens", "1", {"usagetype": "USE1-NovaPro-input-tokens-turbo"}, "what is turbo?"),
        ("Units", "1", {"usagetype": "USE1-MP:USE1_eu_only_input_tokens-Units"}, "what is eu, only?"),
        ("1K tokens", "1", {"usagetype": "USE1-NovaPro-input-tokens", "inferenceType": "Output tokens"}, "attributes"),
        ("1K tokens", "1", {"usagetype": "USE1-NovaPro-input-tokens", "service_tier": "flex"}, "attributes"),
        ("1K TPM Hour", "1", {"usagetype": "USE1-NovaPro-input-tokens"}, "no price in USD per tokens"),
        ("1K tokens", "NaN", {"usagetype": "USE1-NovaPro-input-tokens"}, "no price in USD per tokens"),
        ("1K tokens", "x", {"usagetype": "USE1-NovaPro-input-tokens"}, "no price in USD per tokens"),
    ],
)
def test_what_may_be_a_token_price_and_is_not_understood_is_said(
    unit: str, usd: str, attributes: dict[str, str], said: str
) -> None:
    text = product(usd, unit, model="Nova Pro", **attributes)

    with pytest.raises(NotUnderstoodError, match=re.escape(said)):
        parse_product(text)
    found = prices_of([*NOVA_PRO, text], default_catalog())
    assert any(note.startswith(f"{PRO}: passed over {attributes['usagetype']}") for note in found.notes)
    assert found.models[PRO].tiers["default"].input == 0.8


def test_prices_in_another_currency_and_several_at_once_are_said() -> None:
    several = json.loads(nova("1", "Input tokens", "input-tokens"))
    term = several["terms"]["OnDemand"]["x.y"]["priceDimensions"]
    foreign = json.loads(nova("1", "Input tokens", "input-tokens"))
    foreign["terms"]["OnDemand"]["x.y"]["priceDimensions"]["x.y.z"]["pricePerUnit"] = {"CNY": "1"}
    term["second"] = term["x.y.z"]

    notes = prices_of([json.dumps(several), json.dumps(foreign)], default_catalog()).notes

    assert [note.split(": ", 1)[1] for note in notes[:2]] == [
        "passed over USE1-NovaPro-input-tokens has 2 prices",
        "passed over USE1-NovaPro-input-tokens has no price in USD per tokens (unit 1k tokens)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", '{"product": {"attributes": 3}, "terms": {"OnDemand": {}}}',
        product("0.04", "image", model="Nova Canvas", inferenceType="T2I 1024 Standard"),
    ],
)  # fmt: skip
def test_what_is_no_product_is_passed_over(text: str) -> None:
    assert parse_product(text) is None


def test_unknown_models_and_contradictions_are_left_out_and_contradictions_said() -> None:
    assert prices_of([claude("9", "InputTokenCount", "Claude Nobody 9")], default_catalog()).models == {}
    found = prices_of([*NOVA_PRO, nova("0.0009", "Input tokens", "input-tokens")], default_catalog())
    assert found.models == {}
    assert f"{PRO}: input has the prices 0.8 and 0.9 (default, in its Region)" in found.notes


def test_one_price_listed_in_two_units_is_one_price() -> None:
    products = [nova("0.0033", "Input tokens", "input-tokens"), nova("0.0032", "Output tokens", "output-tokens"),
                product("3.3", "1M tokens", model="Nova Pro", usagetype="USE1-NovaPro-input-tokens")]  # fmt: skip

    assert prices_of(products, default_catalog()).models[PRO].tiers["default"].input == 3.3


def test_what_only_geographic_profiles_have_is_no_base_price() -> None:
    both = [claude("1.1", "InputTokenCount"), claude("5.5", "OutputTokenCount"), claude("1", "InputTokenCount_Global"),
            claude("5", "OutputTokenCount_Global")]  # fmt: skip
    flex = [claude("0.55", "input_tokens_flex"), claude("2.75", "output_tokens_flex")]

    found = prices_of([*both, *flex], default_catalog())
    uneven = prices_of([*both[1:], claude("1.3", "InputTokenCount")], default_catalog())
    regional = prices_of(both[:2], default_catalog())

    assert set(found.models[HAIKU].tiers) == {"default"}
    assert f"{HAIKU}: the flex tier has no global price, as its default tier has" in found.notes
    assert (regional.models[HAIKU].tiers["default"].input, regional.models[HAIKU].geo_factor) == (1.1, 1.0)
    assert f"{HAIKU}: no global price: the global profile is counted at the price of the Region" in regional.notes
    assert uneven.models[HAIKU].geo_factor is None
    assert f"{HAIKU}: geographic profiles cost 1.1 and 1.3 times as much" in uneven.notes


def test_a_cache_class_that_the_list_does_not_price_is_said() -> None:
    notes = prices_of(NOVA_PRO, default_catalog()).notes

    assert f"{PRO}: no price of cache_write in the default tier: counted as input" in notes


def test_a_written_price_file_reads_back_as_itself(tmp_path: Path) -> None:
    file = PriceFile("2026-11-21", "AWS", "us-east-1", prices_of(NOVA_PRO, default_catalog()).models)

    assert read_prices(written(tmp_path / "p.yaml", file.text())) == file
