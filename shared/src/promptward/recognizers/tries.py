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


def trie_pattern(node: Trie, symbol: Callable[[str], str]) -> str:
    """A pattern that matches the longest word of a trie that is there.

    Args:
        symbol: pattern of one character; the one of a null character is tried last.
    """
    options = [
        symbol(char) + trie_pattern(child, symbol)
        for char, child in sorted(node.items(), reverse=True)
        if char
    ]
    if not options:
        return ""
    if "" in node:  # (an empty alternative costs `re` less than an optional group)
        options.append("")
    return options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"
