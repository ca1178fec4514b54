"""Where any of many words stands in a chunk of bytes, in one pass over it. Pure.

An Aho-Corasick automaton: its speed depends neither on the number of words nor on how alike they are.
"""

from collections.abc import Iterable

from ahocorasick_rs import BytesAhoCorasick, Implementation


class Anchors:
    """A set of words to look for."""

    def __init__(self, words: Iterable[str]):
        self.words = tuple(dict.fromkeys(words))
        self.automaton = BytesAhoCorasick([w.encode() for w in self.words], implementation=Implementation.DFA)

    def places(self, chunk: bytes) -> list[int]:
        """Where words begin, in order; of words that overlap at least one is given."""
        return [start for _, start, _ in self.automaton.find_matches_as_indexes(chunk)]

    def within(self, line: bytes) -> set[int]:
        """The numbers of all words in a line.

        >>> Anchors(["Connection reset", "reset by", "x"]).within(b"Connection reset by peer")
        {0, 1}
        """
        return {word for word, _, _ in self.automaton.find_matches_as_indexes(line, overlapping=True)}
