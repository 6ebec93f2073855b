"""The model catalogue and its prices."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import (
    PROFILE_PREFIXES,
    SERVICE_TIERS,
    CatalogError,
    ModelId,
    Price,
    UnknownModelError,
    default_catalog,
    id_to_send,
    is_arn,
    profile_id,
    read_catalog,
    short_name,
    split_model_id,
)
from bedrock.pricing import cost_usd

CATALOG = default_catalog()
model_ids = st.sampled_from(sorted(CATALOG.models))
prefixes = st.sampled_from([None, *PROFILE_PREFIXES])


@given(model_ids, prefixes)
def test_a_profile_id_is_taken_apart_as_it_was_put_together(base: str, prefix: str | None) -> None:
    assert split_model_id(profile_id(base, prefix)) == ModelId(base, prefix)


@pytest.mark.parametrize(
    "raw",
    [
        "us.amazon.nova-pro-v1:0",
        "us.amazon.nova-pro-v1%3A0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-pro-v1%3A0",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
        "amazon.nova-pro-v1:0",
    ],
)
def test_every_form_of_an_id_finds_its_model(raw: str) -> None:
    assert CATALOG.resolve(raw).name == "Nova Pro"


def test_a_typing_error_gets_a_suggestion() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean amazon\.nova-pro-v1:0\?"):
        CATALOG.resolve("us.amazon.nova-por-v1:0")


def test_the_models_of_the_product_have_its_prices() -> None:
    haiku = CATALOG.price("anthropic.claude-3-haiku-20240307-v1:0", "default")
    sonnet = CATALOG.price("anthropic.claude-3-sonnet-20240229-v1:0", None)

    assert haiku is not None
    assert sonnet is not None
    assert (haiku.input, haiku.output) == (0.25, 1.25)
    assert (sonnet.input, sonnet.output) == (3.0, 15.0)


@given(model_ids, st.sampled_from(SERVICE_TIERS))
def test_priority_costs_more_and_flex_less_where_they_are_served(base: str, tier: str) -> None:
    model = CATALOG.models[base]
    price, default = CATALOG.price(base, tier), model.prices["default"]
    if tier not in ("priority", "flex", "default"):
        return
    if not model.supports_tier(tier):
        assert price is None
        return
    factor = {"default": 1.0, "priority": 1.75, "flex": 0.5}[tier]
    assert price is not None
    assert price.input == pytest.approx(default.input * factor)
    assert price.output == pytest.approx(default.output * factor)


def test_no_claude_is_served_in_priority_or_flex() -> None:
    claude = [model for model in CATALOG.models.values() if model.family == "anthropic"]

    assert claude
    assert not any(model.supports_tier("priority") or model.supports_tier("flex") for model in claude)


def test_geographic_profiles_carry_their_surcharge_and_global_ones_do_not() -> None:
    base, geographic, everywhere = (
        CATALOG.price(profile_id("amazon.nova-2-lite-v1:0", prefix), "default") for prefix in (None, "us", "global")
    )

    assert base == everywhere
    assert base is not None
    assert geographic is not None
    assert geographic.input == pytest.approx(0.33)
    assert geographic.output == pytest.approx(2.75)


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    assert CATALOG.price("someone.else-v1", "default") is None
    assert CATALOG.price("amazon.nova-micro-v1:0", "flex") is None


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_cost_is_tokens_times_price(inputs: int, outputs: int, reads: int, writes: int) -> None:
    price = Price(input=2.0, output=10.0, cache_read=0.2, cache_write=2.5)
    expected = (inputs * 2.0 + outputs * 10.0 + reads * 0.2 + writes * 2.5) / 1_000_000

    assert cost_usd(price, inputs, outputs, reads, writes) == pytest.approx(expected)


def test_cache_classes_without_a_price_cost_what_input_costs() -> None:
    assert cost_usd(Price(2.0, 10.0), 0, 0, 500_000, 500_000) == pytest.approx(2.0)


@pytest.mark.parametrize("content", ["", "[]", "models: [{id: x}]", "{", "models: 3\ntier_factors: {}"])
def test_a_file_that_is_no_catalogue_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(CatalogError, match=r"models\.yaml"):
        read_catalog(path)


ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"
OPAQUE = ["provisioned-model/abcdef123456", "application-inference-profile/a1b2c3"]


@pytest.mark.parametrize("resource", OPAQUE)
@pytest.mark.parametrize("account", ["123456789012", "<account>"])
def test_an_opaque_arn_is_the_model_that_is_written_behind_it(resource: str, account: str) -> None:
    arn = f"arn:aws:bedrock:us-east-1:{account}:{resource}"
    written = f"{arn}=us.amazon.nova-pro-v1:0"

    assert split_model_id(written) == ModelId("amazon.nova-pro-v1:0", "us")
    assert CATALOG.resolve_chat(written).id == "amazon.nova-pro-v1:0"
    assert id_to_send(written) == id_to_send(arn) == arn
    assert is_arn(written)
    assert profile_id(written, "eu") == written, "an ARN is sent as it is"
    assert short_name(written) == resource.partition("/")[2]


@given(model_ids, prefixes)
def test_every_other_id_is_sent_and_shown_as_it_is(base: str, prefix: str | None) -> None:
    sent = profile_id(base, prefix)

    assert (id_to_send(sent), short_name(sent), is_arn(sent)) == (sent, sent, False)


@pytest.mark.parametrize(
    ("model_id", "said"),
    [
        (f"{ACCOUNT}:provisioned-model/x", "This ARN does not say which model it stands for"),
        (f"{ACCOUNT}:provisioned-model/x=amazon.nova-po-v1:0", "Did you mean amazon.nova-pro-v1:0?"),
        (f"{ACCOUNT}:prompt-router/x=amazon.nova-pro-v1:0", "A prompt-router ARN cannot be tested"),
        (f"{ACCOUNT}:inference-profile/us.amazon.nova-pro-v1:0=amazon.nova-lite-v1:0", "is amazon.nova-pro-v1:0"),
    ],
)
def test_an_arn_that_names_no_model_is_refused_without_its_account(model_id: str, said: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        CATALOG.resolve_chat(model_id)

    assert said in str(caught.value)
    assert "123456789012" not in str(caught.value)


def test_provisioned_throughput_has_no_price_per_token_and_other_arns_have_their_models() -> None:
    model = "us.amazon.nova-pro-v1:0"

    assert CATALOG.price(f"{ACCOUNT}:provisioned-model/x={model}", "default") is None
    for arn in (f"{ACCOUNT}:application-inference-profile/x={model}", f"{ACCOUNT}:inference-profile/{model}"):
        assert CATALOG.price(arn, "default") == CATALOG.price(model, "default") is not None
