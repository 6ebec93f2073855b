"""What is expected of a suite's own emulator, against the emulator's timing model itself."""

from pathlib import Path
from statistics import fmean

import pytest

from bedrock.catalog import default_catalog
from emulator.config import parse_config
from emulator.timing import DrawStreams, plan_answer
from orchestrator.emulated import EmulatedExpectations
from orchestrator.preflight import prepare
from orchestrator.settings import resolve
from scenarios.expectations import assumed_e2e_s, assumed_output_tokens

PRO = "amazon.nova-pro-v1:0"
SLOW = {
    "default": {
        "latency": {
            "ttft_ms": {"distribution": "lognormal", "median": 900, "sigma": 0.6},
            "prefill_ms_per_token": 0.5,
            "tokens_per_second": {"distribution": "empirical", "values": [20.0, 60.0]},
        },
        "output_tokens": {"distribution": "lognormal", "median": 300, "sigma": 0.4, "max": 700},
        "tail": {"share": 0.1, "factor_min": 2.0, "factor_max": 4.0},
        "tiers": {"flex": {"ttft_factor": 2.0, "speed_factor": 0.5}},
    }
}


def test_expected_means_are_those_of_the_emulators_own_answers():
    config, model = parse_config(SLOW), default_catalog().resolve(PRO)
    profile, draws = config.profile(f"us.{PRO}"), DrawStreams(seed=1)
    answers = []
    for _ in range(4000):
        draw = draws.next(PRO, "flex")
        tokens = min(round(profile.output_tokens.at(draw.length)), 400)
        answers.append(plan_answer(profile, profile.tier("flex"), 200.0, (0, tokens), draw))

    expected = EmulatedExpectations(config)
    output = expected.output_tokens(model, "us", 400)

    assert output == pytest.approx(fmean(answer.output_tokens for answer in answers), rel=0.03)
    assert expected.e2e_s(model, "us", 200.0, output, "flex") == pytest.approx(
        fmean(answer.end_s for answer in answers), rel=0.03
    )


def test_without_settings_the_emulator_is_what_the_catalogue_assumes():
    expected, model = EmulatedExpectations(parse_config({})), default_catalog().resolve(PRO)

    assert expected.output_tokens(model, None, 4096) == pytest.approx(assumed_output_tokens(4096), rel=0.005)
    assert expected.e2e_s(model, None, 50.0, 136.0, "flex") == pytest.approx(
        assumed_e2e_s(model, 50.0, 136.0, "flex"), rel=0.03
    )


def test_a_model_that_always_thinks_writes_more():
    thinking = {"default": {"reasoning": {"always": True, "tokens": 500}, "output_tokens": 100}}
    model = next(model for model in default_catalog().models.values() if model.reasoning)
    expected = EmulatedExpectations(parse_config(thinking))

    assert expected.output_tokens(model, None, 4096) == pytest.approx(600.0)
    assert expected.output_tokens(model, None, 550) == pytest.approx(550.0)


def test_the_plan_of_a_suite_counts_with_its_own_emulator(tmp_path: Path):
    path = tmp_path / "s.yaml"
    plain = f"name: s\nmodel_id: {PRO}\nload: {{users: 10, duration: 60s}}\n"
    path.write_text(plain, encoding="utf-8")
    usual = prepare(resolve(path, {}, {})).plan
    path.write_text(
        f"{plain}emulator: {{default: {{latency: {{ttft_ms: 20000, tokens_per_second: 10}}, output_tokens: 100}}}}\n",
        encoding="utf-8",
    )
    slow = prepare(resolve(path, {}, {})).plan
    elsewhere = prepare(resolve(path, {"endpoint_url": "http://127.0.0.1:1"}, {})).plan

    assert slow.output_tokens == pytest.approx(slow.requests * 100.0)
    assert slow.requests < usual.requests / 5
    assert slow.duration_s > usual.duration_s + 25.0, "the last calls take 30 s"
    assert elsewhere.requests == pytest.approx(usual.requests), "what another endpoint does is not known"
