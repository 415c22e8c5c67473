"""Exact counts with the real tokenizer: rank files out of the package `bpe-openai`."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from promptward.decision import Allow
from promptward.errors import PolicyError
from promptward.policy import load_policy
from promptward.sync import run_sync
from promptward.testing.fakes import RecordedAudit, chat_exchange, policy_with
from promptward.tokens import estimate_tokens
from promptward_ports import token_counter
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger
from promptward_ports.token_counter import (
    PIECE_CHARS,
    RANK_FILES,
    TiktokenCounter,
    open_token_counter,
)

SAMPLES = json.loads(
    (Path(__file__).parents[1] / "promptward" / "token_samples.json").read_text("utf-8")
)["samples"]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both rank files: one by its published name, one as tiktoken caches it."""
    directory = tmp_path_factory.mktemp("ranks")
    package = find_spec("bpe_openai")  # found, not imported: only its data is wanted
    assert package is not None
    assert package.origin is not None
    packed = Path(package.origin).parent / "data"
    for (vocabulary, file), name in zip(RANK_FILES.items(), (0, 1), strict=True):
        data = (packed / f"{vocabulary}_base.tiktoken.gz").read_bytes()
        (directory / file.names[name]).write_bytes(gzip.decompress(data))
    return directory


@pytest.fixture(scope="module")
def counter(ranks: Path) -> TiktokenCounter:
    return TiktokenCounter(ranks)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for variable in token_counter.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


@pytest.mark.parametrize("vocabulary", ["o200k", "cl100k"])
def test_counts_are_those_of_the_published_vocabularies(counter, vocabulary):
    """The samples' counts were made with another implementation."""
    for sample in SAMPLES:
        assert counter.count(sample["text"], vocabulary) == sample[vocabulary]


@pytest.mark.parametrize(
    ("text", "o200k"), [("", 0), ("a", 1), ("<|endoftext|>", 7), ("\ud800", 1), ("\x00", 1)]
)
def test_any_text_has_a_count(counter, text, o200k):
    assert counter.count(text, "o200k") == o200k


def test_long_texts_are_counted_in_pieces(counter):
    words = "The committee met on Tuesday. " * 5000
    assert len(words) > 2 * PIECE_CHARS
    whole = 5000 * counter.count("The committee met on Tuesday.", "o200k")
    assert abs(counter.count(words, "o200k") - whole) <= 5000 * 0.01


def test_a_file_that_is_not_the_published_one_is_refused(ranks, tmp_path):
    for file in RANK_FILES.values():
        name = next(name for name in file.names if (ranks / name).exists())
        (tmp_path / name).write_bytes((ranks / name).read_bytes() + b"\n")
    with pytest.raises(PolicyError, match="is not the published rank file https://"):
        TiktokenCounter(tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"o200k_base\.tiktoken \(from https://.*not found in"):
        TiktokenCounter(tmp_path)


def test_without_the_library_the_extra_is_named(monkeypatch, ranks):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(PolicyError, match=r"promptward\[tokens\]"):
        TiktokenCounter(ranks)


def test_without_a_directory_nothing_is_downloaded(unset):
    with pytest.raises(PolicyError, match="PROMPTWARD_TOKEN_RANKS"):
        open_token_counter()


@pytest.mark.parametrize("variable", token_counter.VARIABLES)
def test_one_counter_serves_the_process(unset, ranks, variable):
    unset.setenv(variable, str(ranks))
    assert open_token_counter() is open_token_counter()


BUDGET = {"id": "b", "unit": "input_tokens", "limit": 100_000, "window": {"duration": "1d"}}
TEXT = "Бюджет считает токены точно, если его об этом попросить."


def reserved(**spec: object) -> int:
    ledger = open_ledger("memory://", timeout_s=1)
    policy = load_policy(policy_with(budgets=[BUDGET], **spec))
    engine = build_engine(policy, ledger, RecordedAudit())
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": TEXT}]}
    decision = run_sync(engine.on_request(chat_exchange(body)))
    assert isinstance(decision, Allow)
    return decision.ticket.input_tokens


def test_a_policy_that_asks_for_it_is_counted_exactly(unset, ranks, counter):
    unset.setenv("PROMPTWARD_TOKEN_RANKS", str(ranks))
    exact, estimate = counter.count(TEXT, "o200k"), estimate_tokens(TEXT, "o200k")
    assert exact != estimate
    assert reserved(token_counting="exact") - reserved() == exact - estimate


def test_a_policy_that_asks_for_it_is_refused_where_it_cannot_be_had(unset):
    with pytest.raises(PolicyError, match=r"token_counting: exact needs"):
        reserved(token_counting="exact")
