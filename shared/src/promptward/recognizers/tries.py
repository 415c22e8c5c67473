"""Alternations of many words that share their beginnings: quick to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Trie = dict[str, "Trie"]


def trie_of(words: Iterable[str]) -> Trie:
    """The words as a tree of characters; an empty key ends a word."""
    root: Trie = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return root


def trie_pattern(node: Trie, symbol: Callable[[str], str], *, whole: bool = True) -> str:
    """A pattern that matches the words of a trie.

    Args:
        symbol: pattern of one character.
        whole: match the longest word that is there, else stop at the shortest.
    """
    if "" in node and not whole:
        return ""
    options = [
        symbol(char) + trie_pattern(child, symbol, whole=whole)
        for char, child in sorted(node.items())
        if char
    ]
    if not options:
        return ""
    source = options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"
    return f"(?:{source})?" if "" in node else source
