"""docs/exchange.md and the code that rests on it say the same: sections, codes, rates of calls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bybit_adapter.basics import errors
from bybit_adapter.basics.errors import KIND_OF_CODE, AmbiguousResult, BybitError, error_for_status
from bybit_adapter.http import endpoints
from bybit_adapter.http.endpoints import Endpoint
from exchange_model.rules.codes import RetCode

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "exchange.md"
NAME = "docs/exchange.md"
HEADING = re.compile(r"^#{2,4} (.+)$", re.MULTILINE)
# a title may be broken over lines, of a comment too
CITATION = re.compile(re.escape(NAME) + r'((?:,?(?:\sand)?[\s#]*"[^"]+")*)')
TITLE = re.compile(r'"([^"]+)"')
LINK = re.compile(r"\]\((?:docs/)?exchange\.md#([^)]+)\)")
LINK_WITHIN = re.compile(r"\]\(#([^)]+)\)")
SOURCES = ("packages", "apps", "shared/db", "tests", "benchmarks", "tools", "bbu_reference")
NONE = "–"


def titles_in(text: str) -> list[str]:
    return HEADING.findall(text)


def section(text: str, title: str) -> str:
    """Return what stands under a heading, up to the next one of any depth."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{NAME} has no section {title!r}"
    return found[1]


def table(text: str, title: str) -> list[list[str]]:
    """Return the cells of the table in a section, without its head."""
    lines = [line for line in section(text, title).splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def sources() -> list[Path]:
    found = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if path != Path(__file__).resolve()]


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def wrong_citations(text: str, titles: list[str]) -> list[str]:
    """Return what is wrong with the citations of a source: no section, or one that is not there."""
    problems = []
    for match in CITATION.finditer(text):
        cited = [re.sub(r"[\s#]+", " ", title) for title in TITLE.findall(match[1])]
        if not cited:
            problems.append(f'cites {NAME} without a section; write {NAME}, "Title"')
        problems += [
            f'cites {NAME}, "{title}", and the page has no such section'
            for title in cited
            if title not in titles
        ]
    return problems


def test_every_section_that_is_cited_is_in_the_page() -> None:
    titles = titles_in(PAGE.read_text(encoding="utf-8"))
    problems = [
        f"{path.relative_to(ROOT)} {problem}"
        for path in sources()
        for problem in wrong_citations(path.read_text(encoding="utf-8"), titles)
    ]
    assert not problems, "\n".join(problems)


def test_a_citation_that_leads_nowhere_is_found() -> None:
    titles = ["Limits of prices", "Funding"]
    right = f'# as in {NAME}, "Limits\n    # of prices" and "Funding"'
    assert wrong_citations(right, titles) == []
    (moved,) = wrong_citations(f'{NAME}, "Funding" and "Fees"', titles)
    assert '"Fees"' in moved
    (bare,) = wrong_citations(f"see {NAME}.", titles)
    assert "without a section" in bare


def test_sources_do_cite_the_page() -> None:
    cited = [path for path in sources() if NAME in path.read_text(encoding="utf-8")]
    assert len(cited) >= 15


def test_links_of_other_pages_lead_to_a_section() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in titles_in(PAGE.read_text(encoding="utf-8"))
    }
    linked = {
        (path.name, anchor)
        for path in pages()
        for anchor in (LINK_WITHIN if path == PAGE else LINK).findall(
            path.read_text(encoding="utf-8")
        )
    }
    assert len({name for name, _ in linked}) > 1
    assert {(name, anchor) for name, anchor in linked if anchor not in anchors} == set()


def test_no_sheet_is_cited_that_is_not_here() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path in (*sources(), *pages())
        if re.search(r"fact[- ]?sheet", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert stale == [], f"cite a section of {NAME} instead"


# codes


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One row of the table of codes."""

    code: int
    kind: str  # class of bybit_adapter
    reaction: str
    name: str  # of RetCode, where the simulated exchange answers with it


def code_rows(text: str) -> list[CodeRow]:
    return [
        CodeRow(int(code), kind, reaction, name)
        for code, _, kind, reaction, name in table(text, "Codes")
    ]


def disagreements(
    rows: list[CodeRow], kinds: Mapping[int, type[BybitError]], answered: Mapping[int, str]
) -> list[str]:
    """Return a sentence for each code that page, adapter and simulated exchange do not agree on."""
    table_of_kinds = "KIND_OF_CODE of bybit_adapter.basics.errors"
    ret_code = "exchange_model.rules.codes.RetCode"
    numbers = Counter(row.code for row in rows)
    found = [
        f"{NAME} has code {code} twice; one row is enough"
        for code, count in numbers.items()
        if count > 1
    ]
    by_code = {row.code: row for row in rows}
    for code, kind in kinds.items():
        if code not in by_code:
            found.append(
                f"code {code} is {kind.__name__} in {table_of_kinds} and has no row in {NAME};"
                ' add one to the table of section "Codes"'
            )
    for code, name in answered.items():
        if code not in by_code:
            found.append(
                f"code {code} is {name} of {ret_code} and has no row in {NAME}; add one to the"
                ' table of section "Codes"'
            )
    for row in by_code.values():
        kind_name = kinds[row.code].__name__ if row.code in kinds else NONE
        if row.kind != kind_name:
            found.append(
                f"code {row.code} is {row.kind} in {NAME} and {kind_name} in {table_of_kinds};"
                " correct the wrong one"
            )
        name = answered.get(row.code, NONE)
        if row.name != name:
            found.append(
                f"code {row.code} is {row.name} of {ret_code} by {NAME}, and {name} there;"
                " correct the wrong one"
            )
        if row.kind == row.name == NONE:
            found.append(f"code {row.code} of {NAME} is in no code; take the row away")
    return found


ANSWERED = {int(code): code.name for code in RetCode}


def test_the_table_of_codes_is_the_code_s() -> None:
    rows = code_rows(PAGE.read_text(encoding="utf-8"))
    found = disagreements(rows, KIND_OF_CODE, ANSWERED)
    assert not found, "\n".join(found)
    assert [row.code for row in rows] == sorted(row.code for row in rows)


def test_every_reaction_is_told_once() -> None:
    """A class has one word, and all of its codes have that word."""
    text = PAGE.read_text(encoding="utf-8")
    words = {kind: word for kind, word, _ in table(text, "What the bot does")}
    raised = {kind.__name__ for kind in KIND_OF_CODE.values()} | {AmbiguousResult.__name__}
    assert set(words) == raised, f'correct the table of section "What the bot does" in {NAME}'
    wrong = [
        f"code {row.code} is {row.kind}, so the bot's word is {words[row.kind]!r}, not"
        f" {row.reaction!r}"
        for row in code_rows(text)
        if row.kind != NONE and row.reaction != words[row.kind]
    ]
    assert not wrong, "\n".join(wrong)


def test_what_rest_is_refused_with_has_a_class() -> None:
    """Only success and what the trade stream alone answers have none."""
    rows = table(PAGE.read_text(encoding="utf-8"), "Codes")
    unknown = [
        f"{name} ({code}) is no code of bybit_adapter.basics.errors, so the bot would take it for"
        " one that nobody knows; give it a class there"
        for code, meaning, kind, _, name in rows
        if kind == NONE and code != "0" and not meaning.startswith("trade stream:")
    ]
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize(
    ("kinds", "answered", "said"),
    [
        ({110101: errors.OpeningBlocked}, {}, "code 110101 is OpeningBlocked"),
        ({}, {110101: "TOO_WILD"}, "code 110101 is TOO_WILD of exchange_model.rules.codes"),
    ],
)
def test_a_code_that_the_page_lacks_is_named(
    kinds: dict[int, type[BybitError]], answered: dict[int, str], said: str
) -> None:
    rows = code_rows(PAGE.read_text(encoding="utf-8"))
    before = disagreements(rows, KIND_OF_CODE, ANSWERED)
    after = disagreements(rows, {**KIND_OF_CODE, **kinds}, {**ANSWERED, **answered})
    (sentence,) = set(after) - set(before)
    assert sentence.startswith(said)
    assert NAME in sentence


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (CodeRow(110101, "OpeningBlocked", "drop", NONE), "OpeningBlocked in docs/exchange.md"),
        (CodeRow(110101, NONE, NONE, "TOO_WILD"), "TOO_WILD of exchange_model.rules.codes"),
        (CodeRow(110101, NONE, NONE, NONE), "is in no code"),
        (CodeRow(110072, "DuplicateOrderLinkId", "look up", "DUPLICATE_LINK_ID"), "twice"),
    ],
)
def test_a_code_that_only_the_page_has_is_named(row: CodeRow, said: str) -> None:
    rows = code_rows(PAGE.read_text(encoding="utf-8"))
    before = disagreements(rows, KIND_OF_CODE, ANSWERED)
    (sentence,) = set(disagreements([*rows, row], KIND_OF_CODE, ANSWERED)) - set(before)
    assert said in sentence
    assert str(row.code) in sentence
    assert NAME in sentence


def test_http_statuses_become_what_the_page_says() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"), "HTTP statuses")
    assert len(rows) >= 6
    for status, _, query, write in rows:
        for is_write, kind in ((False, query), (True, write)):
            error = error_for_status(int(status), "", endpoint="", request={}, is_write=is_write)
            assert type(error).__name__ == kind, f"HTTP {status} in {NAME}"


def test_the_rates_of_the_page_are_those_that_the_adapter_keeps() -> None:
    told = {path: rate for path, *_, rate in table(PAGE.read_text(encoding="utf-8"), "Calls")}
    for endpoint in vars(endpoints).values():
        if not isinstance(endpoint, Endpoint):
            continue
        path = endpoint.path.removeprefix("/v5/")
        rate = "address" if endpoint.per_second is None else str(endpoint.per_second)
        assert told.get(path) == rate, f"{endpoint} makes {rate} calls a second; correct {NAME}"
