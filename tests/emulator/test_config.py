"""The configuration: what it means, and that every mistake in it is named at once in plain words."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedrock.catalog import default_catalog
from emulator.capacity import CapacityLimits
from emulator.config import ConfigError, EmulatorConfig, locate, parse_config, read_config
from emulator.config_sections import (
    ConcurrencySection,
    DistributionSection,
    LatencySection,
    ModelSection,
    OptimizedSection,
    QuotaSection,
    ReasoningSection,
    TailSection,
    TierSection,
)
from emulator.quotas import QuotaLimits, ReservationRule, ReservedLimits, Window
from emulator.timing import ASSUMED_OPTIMIZED, ASSUMED_TAIL, NO_TAIL, Factors, Kind

NOVA = "amazon.nova-pro-v1:0"
LITE = "amazon.nova-lite-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
PAGE = (Path(__file__).parents[2] / "docs" / "emulator-configuration.md").read_text(encoding="utf-8")
model_ids = st.sampled_from(sorted(default_catalog().models))


def config(text: str) -> EmulatorConfig:
    return parse_config(yaml.safe_load(text))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    return caught.value.problems


# --- what it means -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{}", "# nothing yet\n"])
def test_an_empty_file_means_the_behaviour_without_a_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "emulator.yaml"
    path.write_text(content, encoding="utf-8")
    empty = read_config(path)

    assert empty.seed is None
    assert empty.profile(NOVA) == EmulatorConfig().profile(NOVA)
    assert empty.quota(NOVA) is None


@given(model_ids)
def test_without_a_file_models_answer_as_the_catalogue_assumes(model_id: str) -> None:
    profile, assumed = EmulatorConfig().profile(model_id), default_catalog().models[model_id].assumed

    assert (profile.ttft_ms.kind, profile.ttft_ms.median) == (Kind.LOGNORMAL, assumed.ttft_ms)
    assert profile.ttft_ms.sigma == assumed.ttft_sigma
    assert profile.prefill_ms_per_token == assumed.prefill_ms_per_token
    assert (profile.tokens_per_second.kind, profile.tokens_per_second.median) == (
        Kind.FIXED,
        assumed.output_tokens_per_s,
    )
    assert (profile.output_tokens.median, profile.tail) == (120.0, ASSUMED_TAIL)


def test_models_are_configured_at_the_top_level_or_under_models() -> None:
    top = config(f"{NOVA}: {{output_tokens: 30, quota: {{rpm: 7}}}}")
    nested = config(f"models: {{{NOVA}: {{output_tokens: 30, quota: {{rpm: 7}}}}}}")

    assert top.profile(NOVA) == nested.profile(NOVA)
    assert top.quota(NOVA) == nested.quota(NOVA) == QuotaLimits(rpm=7)
    assert top.quota(HAIKU) is None


def test_the_more_specific_section_wins_key_by_key() -> None:
    loaded = config(
        f"""
        default: {{latency: {{ttft_ms: 300, tokens_per_event: 2}}, output_tokens: 50}}
        {NOVA}: {{latency: {{ttft_ms: 200}}}}
        us.{NOVA}: {{latency: {{ttft_ms: 100}}}}
        """
    )

    ids = (HAIKU, NOVA, f"eu.{NOVA}", f"us.{NOVA}")
    assert [loaded.profile(model_id).ttft_ms.median for model_id in ids] == [300, 200, 200, 100]
    assert {loaded.profile(model_id).tokens_per_event for model_id in ids} == {2}
    assert {loaded.profile(model_id).output_tokens.median for model_id in ids} == {50}


@pytest.mark.parametrize(
    "model_id",
    [
        f"us.{NOVA}",
        "us.amazon.nova-pro-v1%3A0",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}",
    ],
)
def test_a_section_serves_its_model_in_whatever_form_the_id_comes(model_id: str) -> None:
    loaded = config(f"us.{NOVA}: {{output_tokens: 30}}")

    assert loaded.profile(model_id).output_tokens.median == 30


def test_a_part_of_a_distribution_changes_that_part() -> None:
    ttft_ms = config("default: {latency: {ttft_ms: {median: 900}}}").profile(NOVA).ttft_ms

    assert (ttft_ms.kind, ttft_ms.median, ttft_ms.sigma) == (Kind.LOGNORMAL, 900.0, 0.4)


def test_a_number_is_a_fixed_distribution_and_a_list_an_empirical_one() -> None:
    profile = config(
        """
        default:
          latency: {ttft_ms: 250, tokens_per_second: {distribution: empirical, values: [50, 100]}}
          output_tokens: {median: 80, sigma: 0.1, min: 20, max: 200}
        """
    ).profile(NOVA)

    assert [profile.ttft_ms.at(uniform) for uniform in (0.01, 0.99)] == [250, 250]
    assert [profile.tokens_per_second.at(uniform) for uniform in (0.01, 0.99)] == [50, 100]
    assert (profile.output_tokens.low, profile.output_tokens.high) == (20, 200)


def test_a_ttft_that_was_spelled_out_has_no_tail_unless_one_is_asked_for() -> None:
    assert config("default: {latency: {ttft_ms: 250}}").profile(NOVA).tail == NO_TAIL
    assert config("default: {latency: {ttft_ms: {median: 250}}}").profile(NOVA).tail == ASSUMED_TAIL
    tail = config("default: {latency: {ttft_ms: 250}, tail: {share: 0.05, factor_max: 4}}").profile(NOVA).tail
    assert (tail.share, tail.factor_min, tail.factor_max) == (0.05, 3.0, 4)


def test_tiers_keep_what_they_do_not_change() -> None:
    tiers = config("default: {tiers: {flex: {ttft_factor: 2.5}}}").profile(NOVA).tiers

    assert tiers["flex"] == Factors(ttft_factor=2.5, speed_factor=0.8)
    assert tiers["priority"] == Factors(ttft_factor=0.9, speed_factor=1.25)


@pytest.mark.parametrize("text", ["default: {quota: catalog}", "default: {quota: {limits: catalog}}"])
def test_the_catalogues_quotas_are_those_of_a_default_account(text: str) -> None:
    loaded = config(text)

    assert loaded.quota(NOVA) == QuotaLimits(rpm=250, tpm=1_000_000)
    assert loaded.quota(f"us.{NOVA}") == QuotaLimits(rpm=500, tpm=2_000_000), "cross-region"
    assert loaded.quota(HAIKU) == QuotaLimits(rpm=10_000, tpm=5_000_000, burndown=5)


def test_the_catalogues_quotas_can_be_changed_in_part() -> None:
    loaded = config("default: {quota: {limits: catalog, rpm: 12, window: sliding, reservation: multiplied}}")

    assert loaded.quota(NOVA) == QuotaLimits(
        rpm=12, tpm=1_000_000, window=Window.SLIDING, reservation=ReservationRule.MULTIPLIED
    )


def test_a_quota_replaces_the_one_below_as_a_whole_and_null_removes_it() -> None:
    loaded = config(
        f"""
        default: {{quota: {{rpm: 60, tpm: 1000, window: token_bucket}}}}
        {NOVA}: {{quota: {{tpd: 5000, burndown: 2}}}}
        {HAIKU}: {{quota: null}}
        """
    )

    assert loaded.quota(NOVA) == QuotaLimits(tpd=5000, burndown=2)
    assert loaded.quota(HAIKU) is None
    assert loaded.quota("amazon.nova-lite-v1:0") == QuotaLimits(rpm=60, tpm=1000, window=Window.TOKEN_BUCKET)


def test_concurrency_is_the_models_and_is_replaced_as_a_whole() -> None:
    loaded = config(
        f"""
        default: {{concurrency: {{knee: 20, exponent: 1.5, limit: 60}}}}
        {NOVA}: {{concurrency: {{knee: 5, wording: capacity, flex_wait_s: 2}}}}
        {LITE}: {{concurrency: null}}
        """
    )

    nova, haiku = loaded.concurrency(NOVA), loaded.concurrency(HAIKU)
    assert (nova.knee, nova.exponent, nova.limit, nova.flex_wait_s) == (5, 1.0, None, 2)
    assert nova.message == "Bedrock is unable to process your request."
    assert (haiku.knee, haiku.exponent, haiku.limit) == (20, 1.5, 60)
    assert haiku.message == "Too many connections, please wait before trying again."
    assert loaded.concurrency(LITE) == EmulatorConfig().concurrency(NOVA) == CapacityLimits()


def test_places_are_set_aside_for_priority_only_where_there_is_priority() -> None:
    assumed = config("default: {concurrency: {limit: 20}}")
    given = config("default: {concurrency: {limit: 20, priority_share: 0.5}}")

    assert [assumed.concurrency(NOVA).places(tier) for tier in ("priority", "default", "flex")] == [20, 18, 18]
    assert assumed.concurrency(HAIKU).places("default") == 20
    assert (given.concurrency(NOVA).places("default"), given.concurrency(HAIKU).places("default")) == (10, 20)


def test_latency_optimised_has_factors_and_a_quota_of_its_own() -> None:
    loaded = config(f"{NOVA}: {{quota: {{rpm: 9}}, optimized: {{speed_factor: 2, quota: {{rpm: 3}}}}}}")

    assert EmulatorConfig().profile(NOVA).optimized == ASSUMED_OPTIMIZED
    assert loaded.profile(NOVA).optimized == Factors(ASSUMED_OPTIMIZED.ttft_factor, 2)
    assert (loaded.quota(NOVA), loaded.optimized_quota(f"us.{NOVA}")) == (QuotaLimits(rpm=9), QuotaLimits(rpm=3))
    assert config("default: {quota: {rpm: 9}}").optimized_quota(f"us.{NOVA}") is None


def test_a_reservation_is_there_where_the_reserved_tier_is_configured() -> None:
    reserved = "tiers: {reserved: {input_tpm: 100000, output_tpm: 10000, ttft_factor: 0.9}}"
    loaded = config(f"{HAIKU}: {{{reserved}}}")

    assert loaded.reserved(HAIKU) == loaded.reserved(f"us.{HAIKU}") == ReservedLimits(100_000, 10_000)
    assert loaded.profile(HAIKU).tier("reserved") == Factors(ttft_factor=0.9)
    assert EmulatorConfig().reserved(HAIKU) is None


def test_only_models_that_reason_do_and_thoughts_have_a_length() -> None:
    loaded = config("default: {reasoning: {always: true, tokens: {median: 50}}}")
    assumed = EmulatorConfig().profile(HAIKU)

    assert (assumed.always_reasons, assumed.reasoning_tokens.kind) == (False, Kind.LOGNORMAL)
    assert (assumed.reasoning_tokens.median, assumed.reasoning_tokens.sigma) == (300, 0.6)
    assert (loaded.profile(HAIKU).always_reasons, loaded.profile(NOVA).always_reasons) == (True, False)
    assert (loaded.profile(HAIKU).reasoning_tokens.median, loaded.profile(HAIKU).reasoning_tokens.sigma) == (50, 0.6)


def test_an_alias_stands_for_a_model() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"

    assert config(f"aliases: {{'{arn}': us.{NOVA}, mine: {HAIKU}}}").aliases == {arn: f"us.{NOVA}", "mine": HAIKU}


# --- what is wrong with it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sead: 1", "sead: unknown key or model; did you mean `seed`?"),
        ("defualt: {}", "defualt: unknown key or model; did you mean `default`?"),
        ("amazon.nova-por-v1:0: {}", f"amazon.nova-por-v1:0: unknown key or model; did you mean `{NOVA}`?"),
        ("models: {nova: {}}", "models.nova: unknown key or model; known are seed, auth, default, models, "),
        ("default: {latncy: {}}", "default.latncy: unknown key; did you mean `latency`?"),
        ("default: {latency: {ttft: 3}}", "default.latency.ttft: unknown key; did you mean `ttft_ms`?"),
        (
            "default: {latency: {ttft_ms: {medain: 3}}}",
            "default.latency.ttft_ms.medain: unknown key; did you mean `median`?",
        ),
        ("default: {quota: {rmp: 3, tpm: 5}}", "default.quota.rmp: unknown key; did you mean `rpm`?"),
        ("default: {tail: {chance: 1}}", "default.tail.chance: unknown key; known are share, factor_min, factor_max"),
        (
            "default: {tiers: {prority: {}}}",
            "default.tiers.prority: unknown service tier; did you mean `priority`?",
        ),
        (
            "default: {tiers: {flex: {speed: 1}}}",
            "default.tiers.flex.speed: unknown key; known are ttft_factor, speed_factor",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_what_was_probably_meant(text: str, problem: str) -> None:
    (found,) = problems(text)

    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("latency: {ttft_ms: -1}", "greater than or equal to 0, not -1"),
        ("latency: {ttft_ms: '300'}", "must be a mapping of settings, not '300'"),
        ("latency: {ttft_ms: {median: '300ms'}}", "valid number, not '300ms'"),
        ("latency: {ttft_ms: {distribution: normal}}", "'fixed', 'lognormal' or 'empirical', not 'normal'"),
        ("latency: {ttft_ms: {sigma: 100}}", "less than or equal to 5, not 100"),
        ("latency: {tokens_per_second: 0}", "greater than 0, not 0"),
        ("latency: {tokens_per_second: {distribution: empirical, values: [50, 0]}}", "greater than 0, not 0"),
        ("latency: {tokens_per_second: .inf}", "finite number, not inf"),
        ("latency: {prefill_ms_per_token: .nan}", "not nan"),
        ("latency: {prefill_ms_per_token: true}", "valid number, not True"),
        ("latency: {tokens_per_event: 0}", "greater than or equal to 1, not 0"),
        ("latency: {tokens_per_event: 2.5}", "whole number, not 2.5"),
        ("latency: 300", "must be a mapping of settings, not 300"),
        ("output_tokens: 0", "greater than 0, not 0"),
        ("output_tokens: {min: 9, max: 3}", "`max` is below `min`"),
        ("output_tokens: {distribution: empirical}", "`values` go together"),
        ("output_tokens: {values: [3]}", "`values` go together"),
        ("output_tokens: {distribution: empirical, values: []}", "at least 1 item"),
        ("tail: {share: 1.5}", "less than or equal to 1, not 1.5"),
        ("tail: {factor_min: 0.5}", "greater than or equal to 1, not 0.5"),
        ("tail: {factor_min: 20}", "`factor_max` (10) is below `factor_min` (20)"),
        ("tiers: {flex: {speed_factor: 0}}", "greater than 0, not 0"),
        ("quota: {}", "it limits nothing: give `rpm`, `tpm` or `tpd`, or write `quota: catalog`"),
        ("quota: {window: sliding}", "it limits nothing"),
        ("quota: catalogue", "'catalogue' is neither `catalog` nor a mapping of limits"),
        ("quota: 60", "must be a mapping of settings, not 60"),
        ("quota: {rpm: 0}", "greater than or equal to 1, not 0"),
        ("quota: {rpm: 60/min}", "whole number, not '60/min'"),
        ("quota: {rpm: 6, window: fixed-minute}", "'fixed_minute', 'sliding' or 'token_bucket', not 'fixed-minute'"),
        ("quota: {tpm: 6, reservation: full}", "'plain' or 'multiplied', not 'full'"),
        ("concurrency: {max: 5}", "unknown key; known are knee, exponent, limit"),
        ("concurrency: {knee: 2, exponent: 40}", "less than or equal to 4, not 40"),
        ("concurrency: {knee: 2, priority_share: 1}", "less than 1, not 1"),
        ("concurrency: {limit: 2, wording: busy}", "'connections' or 'capacity', not 'busy'"),
        ("concurrency: {limit: 0}", "greater than or equal to 1, not 0"),
        ("latency: {cache_read_share: 2}", "less than or equal to 1, not 2"),
        ("concurrency: {exponent: 2.0}", "it has no effect: give `knee`, `limit` or both"),
        ("tiers: {reserved: {ttft_factor: 0.9}}", "`tiers.reserved` needs `input_tpm` and `output_tpm`"),
        ("tiers: {flex: {input_tpm: 5}}", "`input_tpm` belongs to `reserved`"),
        ("reasoning: {always: 1}", "valid boolean, not 1"),
        ("optimized: {speed: 2}", "unknown key"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(settings: str, message: str) -> None:
    (found,) = problems(f"default: {{{settings}}}")

    assert message in found
    assert found.startswith(("default." + settings.split(":", maxsplit=1)[0], "default: `tiers."))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must be a mapping"),
        ("just words", "must be a mapping"),
        ("seed: soon", "seed: must be a whole number, not 'soon'"),
        ("seed: true", "seed: must be a whole number, not True"),
        ("auth: verfy", "did you mean `verify`?"),
        ("aliases: [a]", "aliases: must be a mapping of ids to model ids"),
        ("aliases: {mine: amazon.nova-por-v1:0}", "aliases.mine: unknown model; did you mean `amazon.nova-pro-v1:0`?"),
        (f"aliases: {{{NOVA}: {NOVA}}}", "it is the id of a model already"),
        (f"us.{NOVA}: {{concurrency: {{knee: 5}}}}", f"load is the model's own: set it for {NOVA}"),
        (
            f"{NOVA}: {{tiers: {{reserved: {{input_tpm: 9, output_tpm: 9}}}}}}",
            f"{NOVA}.tiers.reserved: {NOVA} is not served in this tier",
        ),
        (f"{HAIKU}: {{optimized: {{}}}}", f"{HAIKU}.optimized: {HAIKU} is not served latency-optimised"),
        (f"{NOVA}: {{reasoning: {{always: true}}}}", f"{NOVA}.reasoning: {NOVA} does not reason"),
        (f"{NOVA}: {{optimized: {{quota: catalog}}}}", "the catalogue has no limits for latency-optimised calls"),
        ("models: []", "models: must be a mapping of model ids to settings"),
        ("default:", "default: must be a mapping of settings"),
        (f"{NOVA}: 3", f"{NOVA}: must be a mapping of settings"),
        (f"{{{NOVA}: {{}}, models: {{{NOVA}: {{}}}}}}", "is configured twice"),
    ],
)
def test_a_wrong_shape_is_named(text: str, message: str) -> None:
    (found,) = problems(text)

    assert message in found


def test_all_problems_are_named_at_once() -> None:
    found = problems(
        f"""
        seed: x
        auth: verfy
        defualt: {{}}
        default: {{latency: {{ttft: 3, tokens_per_event: 0}}, quota: {{rmp: 3}}, concurrency: {{}}}}
        models: {{nova: {{}}, {NOVA}: {{tail: {{share: 2}}}}}}
        faults: {{}}
        """
    )

    places = [
        "seed", "auth", "defualt", "default.latency.ttft:", "default.latency.tokens_per_event", "default.quota.rmp",
        "default.concurrency", "models.nova", f"models.{NOVA}.tail.share", "faults",
    ]  # fmt: skip
    assert len(found) == len(places)
    for place in places:
        assert sum(problem.startswith(place) for problem in found) == 1, place


def test_a_key_given_twice_is_an_error_where_yaml_would_keep_the_last(tmp_path: Path) -> None:
    path = tmp_path / "emulator.yaml"
    path.write_text("default:\n  output_tokens: 5\n  output_tokens: 6\nseed: 1\nseed: x\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)

    assert caught.value.problems == [
        f"{path}:3:3: the key output_tokens is already given in line 2",
        f"{path}:5:1: seed: must be a whole number, not 'x'",
        f"{path}:5:1: the key seed is already given in line 4",
    ]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["default", "models", "seed", "latency", "ttft_ms", "quota", "tiers", "flex", "median", NOVA])
        | st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_content_is_a_configuration_or_a_list_of_problems(content: Any) -> None:
    try:
        loaded, found = parse_config(content), ["none"]
    except ConfigError as error:
        loaded, found = EmulatorConfig(), error.problems

    assert found
    assert loaded.profile(NOVA).tokens_per_event >= 1


def test_every_problem_of_a_file_has_the_line_and_column_of_what_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "emulator.yaml"
    path.write_text(
        "default:\n  latency: {ttft: 500}\n  reasoning: {always: yes}\n  tiers: {prio: {}}\n"
        f"us.{NOVA}:\n  quota: {{rpm: 60, tmp: 4}}\n"
        "faults:\n  - {kind: stall}\n  - {kind: outage, match: {model: nova}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        read_config(path)

    assert [problem.removeprefix(str(path)).split(" ")[:2] for problem in caught.value.problems] == [
        [":2:13:", "default.latency.ttft:"],
        [":3:23:", "YAML"],
        [":4:11:", "default.tiers.prio:"],
        [":6:20:", f"us.{NOVA}.quota.tmp:"],
        [":9:28:", "faults.2.match.model:"],
    ]


def test_a_trap_in_a_secret_is_told_without_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "emulator.yaml"
    path.write_text("auth: {mode: verify, bearer_token: 01234567}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)

    assert "01234567" not in str(caught.value)


@pytest.mark.parametrize(
    ("problem", "path", "said"),
    [
        ("a.b: is wrong", ("a", "b"), "is wrong"),
        ("a.c.d: is wrong", ("a", "c.d"), "is wrong"),
        ("a.zz: is missing", ("a",), "a.zz: is missing"),
        ("list.1: is wrong", ("list", 1), "is wrong"),
        ("faults.1: is wrong", ("faults", 0), "is wrong"),
        ("the whole is wrong", (), "the whole is wrong"),
    ],
)
def test_a_problem_is_located_in_the_values_it_is_about(problem: str, path: tuple[str | int, ...], said: str) -> None:
    raw = {"a": {"b": 1, "c": 2, "c.d": 3}, "list": [1, 2], "faults": [1]}

    assert locate(problem, raw) == (path, said)


# --- the command ---------------------------------------------------------------------------------------------


def run_with(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emulator", "--port", "0", "--config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (b"default: {quota: {rmp: 3}}\nseed: x", ["did you mean `rpm`?", "seed: must be a whole number"]),
        (b"default: [", [":1:11: is not valid YAML"]),
        (b"default: &a {latency: *a}", [":1:10: an anchor contains itself"]),
        (b"\n\nfaults:\n- {kind: stall}\n- {kind: stal}", [":5:4: faults.2.kind: unknown kind of fault 'stal'"]),
        (b"\xff\xfe\x00", ["cannot be read: it is not UTF-8"]),
        (None, ["cannot be read: No such file"]),
    ],
)
def test_the_command_ends_with_4_and_names_the_problems(
    tmp_path: Path, content: bytes | None, messages: list[str]
) -> None:
    path = tmp_path / "emulator.yaml"
    if content is not None:
        path.write_bytes(content)
    done = run_with(path)

    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.startswith("emulator: ")
    assert "Traceback" not in done.stderr
    for message in [*messages, str(path)]:
        assert message in done.stderr


# --- docs/emulator-configuration.md -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "prefix"),
    [
        (ModelSection, ""),
        (LatencySection, "latency."),
        (QuotaSection, "quota."),
        (TailSection, "tail."),
        (TierSection, "tiers.*."),
        (ConcurrencySection, "concurrency."),
        (OptimizedSection, "optimized."),
        (ReasoningSection, "reasoning."),
    ],
)
def test_every_key_has_a_row_in_the_documentation(section: type[ModelSection], prefix: str) -> None:
    for name in section.model_fields:
        is_mapping = prefix == "" and name != "output_tokens"
        assert is_mapping or f"| `{prefix}{name}` |" in PAGE, (
            f"docs/emulator-configuration.md has no row for {prefix}{name}"
        )


@pytest.mark.parametrize("name", list(DistributionSection.model_fields))
def test_every_key_of_a_distribution_has_a_row_in_the_documentation(name: str) -> None:
    assert f"| `{name}` |" in PAGE


def test_the_example_of_the_documentation_is_a_valid_configuration() -> None:
    examples = [block.split("```")[0] for block in PAGE.split("```yaml\n")[1:]]

    assert examples
    for example in examples:
        config(example)
