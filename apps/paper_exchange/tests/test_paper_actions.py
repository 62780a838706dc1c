"""The examples of the documentation are actions, and work over the endpoint as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import requests
import yaml

from gridcore import SideType
from paper_exchange.host.actions import ACTION, Action, Scenario
from paper_exchange.host.faults import FaultKind
from testkit.paper import PaperHost, order_params, paper_market, signed

PAGE = (Path(__file__).parents[3] / "docs" / "paper_exchange.md").read_text()
EXAMPLES = [" ".join(text.split()) for text in re.findall(r'\{"do":(?:[^{}]|\{[^{}]*\})*\}', PAGE)]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_is_an_action(text: str) -> None:
    ACTION.validate_json(text)


def test_the_page_names_every_action_and_every_fault() -> None:
    names = [
        get_args(one.model_fields["do"].annotation)[0] for one in get_args(get_args(Action)[0])
    ]
    assert len(names) == len(set(names)) > 20
    assert [name for name in (*names, *FaultKind) if f"`{name}`" not in PAGE] == []


def test_the_scenario_of_the_page_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(steps:.*?)```", PAGE, re.DOTALL)
    assert len(Scenario.model_validate(yaml.safe_load(text)).steps) == 2


def test_a_life_told_over_the_endpoint() -> None:
    markets = [paper_market(), paper_market("ETHUSDT", status="PreLaunch")]
    with PaperHost(markets) as host:
        host.trade("60000.0", SideType.BUY)

        def post(**action: Any) -> tuple[int, dict[str, Any]]:
            reply = requests.post(f"{host.base_url}/control/action", json=action, timeout=5)
            content: dict[str, Any] = reply.json()
            return reply.status_code, content

        by = {"account": "one", "symbol": "BTCUSDT"}
        order = {"do": "place_order", **by, "direction": "long", "side": "Buy", "qty": "0.05"}
        status, content = post(**order)
        assert status == 200
        assert content["ok"]
        assert content["order_id"]
        assert post(do="list_contract", symbol="ETHUSDT")[0] == 200
        assert post(do="change_rules", symbol="BTCUSDT", min_notional="150")[0] == 200
        assert post(do="deliver", symbol="BTCUSDT", price="60000")[0] == 200
        status, content = post(**order)
        assert status == 400
        assert "not live" in content["error"]
        shown = requests.get(f"{host.base_url}/control/status", timeout=5).json()
        assert shown["markets"]["BTCUSDT"]["status"] == "Delivering"
        assert shown["accounts"]["one"]["legs"]["BTCUSDT"] == ["0", "0"]
        request = signed("POST", "/v5/order/create", order_params(), host.server.driver.server_ms())
        reply = host.do(lambda: host.parts.rest.answer(request))
        assert reply.envelope["retCode"] == 110074
        assert orjson.loads(reply.body())["retMsg"]
