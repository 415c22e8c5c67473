"""Exact token counts with OpenAI's `tiktoken` and rank files that the operator provides.

Invariants: nothing is downloaded; a rank file is used only when its SHA-256 is the published one,
so that a count means the same at every gateway; a text is counted in pieces of bounded length, so
that no text makes the library slow (its merging takes long for long runs without a boundary).

Special tokens are counted as the text they are written in: a prompt cannot contain them as tokens.

Source of the patterns and digests: tiktoken, `tiktoken_ext/openai_public.py` (MIT License).
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from promptward.errors import PolicyError
from promptward.ports import Vocabulary

if TYPE_CHECKING:
    import tiktoken

VARIABLES = ("PROMPTWARD_TOKEN_RANKS", "TIKTOKEN_CACHE_DIR")
"""Environment variables that name the directory of the rank files; the first one set counts."""

PIECE_CHARS = 65_536
"""Texts are cut at this length: a token more or less for each piece."""

_HINT = (
    "spec.token_counting: exact needs the package promptward[tokens] and, in the directory that"
    f" {VARIABLES[0]} names, the files"
)


@dataclass(frozen=True, slots=True)
class RankFile:
    """A vocabulary as tiktoken publishes it.

    Attributes:
        url: where it is published; tiktoken's own cache names files by its SHA-1.
        sha256: of the file.
        pattern: how text is split before merging.
    """

    url: str
    sha256: str
    pattern: str

    @property
    def names(self) -> tuple[str, str]:
        """Names it may have in a directory."""
        cached = hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()
        return self.url.rpartition("/")[2], cached


_ENCODINGS = "https://openaipublic.blob.core.windows.net/encodings"
RANK_FILES: Mapping[Vocabulary, RankFile] = {
    "o200k": RankFile(
        f"{_ENCODINGS}/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "cl100k": RankFile(
        f"{_ENCODINGS}/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|"
        r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


class TiktokenCounter:
    """Implements `TokenCounter`. About 110 MB of memory for both vocabularies.

    Args:
        directory: where the rank files are.

    Raises:
        PolicyError: the library or a file is missing, or a file is not the published one.
    """

    def __init__(self, directory: Path) -> None:
        self._encodings = {name: _encoding(name, directory) for name in RANK_FILES}

    def count(self, text: str, vocabulary: Vocabulary) -> int:
        encoding = self._encodings[vocabulary]
        return sum(
            len(encoding.encode_ordinary(text[start : start + PIECE_CHARS]))
            for start in range(0, len(text), PIECE_CHARS)
        )


def open_token_counter() -> TiktokenCounter:
    """The counter this host was set up with; one for the process.

    Raises:
        PolicyError: it was not set up.
    """
    directory = next((os.environ[v] for v in VARIABLES if os.environ.get(v)), "")
    if not directory:
        raise PolicyError(f"{_HINT} {' and '.join(f.names[0] for f in RANK_FILES.values())}")
    return _opened(directory)


@cache
def _opened(directory: str) -> TiktokenCounter:
    return TiktokenCounter(Path(directory))


def _encoding(name: Vocabulary, directory: Path) -> tiktoken.Encoding:
    try:
        import tiktoken
    except ImportError:
        raise PolicyError(f"{_HINT} {RANK_FILES[name].names[0]}") from None
    file = RANK_FILES[name]
    data = _read(file, directory)
    ranks = {}
    for line in data.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(
        f"{name}_base", pat_str=file.pattern, mergeable_ranks=ranks, special_tokens={}
    )


def _read(file: RankFile, directory: Path) -> bytes:
    for name in file.names:
        try:
            data = (directory / name).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data).hexdigest() == file.sha256:
            return data
        raise PolicyError(f"{directory / name} is not the published rank file {file.url}")
    raise PolicyError(f"{_HINT} {file.names[0]} (from {file.url}); not found in {directory}")
