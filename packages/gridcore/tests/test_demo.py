"""The first look: a table from arguments alone."""

import pytest

from gridcore import demo


def test_a_table_of_levels_and_orders(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--symbol", "BTCUSDT", "--grid-count", "4", "--long-size", "0.01"]
    assert demo.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["price", "level", "long", "leg", "short", "leg"]
    assert lines[1].split() == ["60240.2", "Sell", "Sell", "0.002", "(closing)", "Sell", "0.002"]
    assert lines[3].split() == ["60000.0", "Wait", "-", "-"]
    assert lines[6].startswith("6 orders, 4 of them opening: 480.00 USDT in all")
    assert lines[7] == "2 wanted orders wait: not covered"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--amount", "5%"], "the amount is '5%'"),
        (["--grid-step", "0.00001"], "two levels coincide"),
        (["--price", "0"], "at least one tick"),
        (["--tick-size", "0"], "tick_size is Decimal('0')"),
        (["--grid-count", "1"], "grid_count is 1"),
        (["--long-size", "-1"], "size is Decimal('-1')"),
    ],
)
def test_wrong_arguments_get_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--symbol", "BTCUSDT", *arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert not captured.out


def test_text_for_a_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        demo.main(["--symbol", "BTCUSDT", "--price", "much"])
    assert "'much' is not a number" in capsys.readouterr().err
