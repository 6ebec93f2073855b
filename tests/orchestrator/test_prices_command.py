"""`run_tests.py prices`, and price files where they count."""

import json
from pathlib import Path

import botocore.session
import pytest
from botocore.stub import Stubber

from bedrock.price_list import OFFERS
from bedrock.prices import read_prices
from orchestrator.cli import main
from orchestrator.prices_command import PriceListError, refresh
from tests.bedrock.test_prices import NOVA_PRO, PRO
from tests.support.run_builder import CellSpec, build_run


def pricing() -> tuple[object, Stubber]:
    client = botocore.session.get_session().create_client(
        "pricing",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",  # noqa: S106 - a made-up one; nothing is sent
    )
    return client, Stubber(client)


def question(offer: str, **more: str) -> dict[str, object]:
    in_region = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}]
    return {"ServiceCode": offer, "Filters": in_region, **more}


def test_refresh_reads_every_page_of_all_offers_and_writes_a_dated_file(tmp_path: Path) -> None:
    client, stubber = pricing()
    stubber.add_response("get_products", {"PriceList": NOVA_PRO[:3], "NextToken": "more"}, question(OFFERS[0]))
    stubber.add_response("get_products", {"PriceList": NOVA_PRO[3:]}, question(OFFERS[0], NextToken="more"))
    for offer in OFFERS[1:]:
        stubber.add_response("get_products", {"PriceList": []}, question(offer))

    with stubber:
        file, notes = refresh(tmp_path / "prices.yaml", "us-east-1", client)

    stubber.assert_no_pending_responses()
    assert read_prices(tmp_path / "prices.yaml") == file
    assert file.models[PRO].tiers["default"].input == pytest.approx(0.8)
    assert notes[-1].startswith("Not in the list: anthropic.claude-3-haiku")


def test_a_refusal_or_an_empty_list_is_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    client, stubber = pricing()
    stubber.add_client_error("get_products", "AccessDeniedException", "arn:aws:iam::123456789012:user/x may not", 400)
    for _ in OFFERS:
        stubber.add_response("get_products", {"PriceList": []})

    with stubber:
        with pytest.raises(PriceListError, match="allow pricing:GetProducts") as refused:
            refresh(tmp_path / "prices.yaml", "us-east-1", client)
        with pytest.raises(PriceListError, match="no token price of a known model"):
            refresh(tmp_path / "prices.yaml", "us-east-1", client)

    assert "123456789012" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_prices_shows_the_file_that_is_in_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(f"as_of: 2027-01-01\nprices:\n  {PRO}:\n    default: {{input: 9.5, output: 20}}\n")

    assert main(["prices", "--prices-file", str(file), "--format", "json"]) == 0

    document = json.loads(capsys.readouterr().out)
    (row,) = [r for r in document["prices"] if (r["model_id"], r["service_tier"]) == (PRO, "default")]
    assert row["input"] == 9.5
    assert document["as_of"].startswith("2027-01-01")


def test_a_report_counts_with_another_price_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_run(tmp_path / "run", [CellSpec("a")])
    file = tmp_path / "double.yaml"
    file.write_text(f"as_of: 2027-01-01\nprices:\n  {PRO}:\n    default: {{input: 1.6, output: 6.4}}\n")
    costs = []
    for arguments in ([], ["--prices-file", str(file)]):
        main(["report", str(tmp_path / "run"), "--format", "json", "--no-charts", *arguments])
        costs.append(json.loads(capsys.readouterr().out)["cost"]["cost_usd"])

    assert costs[1] == pytest.approx(2 * costs[0])


def test_a_wrong_price_file_is_a_mistake_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "smoke", "--prices-file", "/nowhere.yaml"]) == 4
    assert "error: --prices-file: Cannot use /nowhere.yaml as a price file" in capsys.readouterr().err
    assert main(["prices", "--prices-file", "/nowhere.yaml"]) == 4


def test_the_plan_counts_with_the_price_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "free.yaml"
    file.write_text(f"as_of: 2027-01-01\nprices:\n  {PRO}:\n    default: {{input: 0, output: 0}}\n")
    arguments = ["plan", "smoke", "--model-id", PRO, "--format", "json"]
    costs = []
    for more in ([], ["--prices-file", str(file)]):
        main([*arguments, *more])
        costs.append(json.loads(capsys.readouterr().out)["total"]["cost_usd"]["expected"])

    assert costs[0] > 0 == costs[1]
