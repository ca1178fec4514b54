"""Where any of many words stands in a chunk of bytes, in one pass over it. Pure.

An Aho-Corasick automaton: its speed depends neither on the number of words nor on how alike they are.
"""

from collections.abc import Iterable, Set

from ahocorasick_rs import BytesAhoCorasick, Implementation


class Anchors:
    """Words to look for, by their numbers; those in `muted` keep theirs and are not looked for."""

    def __init__(self, words: Iterable[str], muted: Set[int] = frozenset()):
        self.words, self.muted = tuple(dict.fromkeys(words)), muted
        self.numbers = [number for number in range(len(self.words)) if number not in muted]
        looked_for = [self.words[number].encode() for number in self.numbers]
        self.automaton = BytesAhoCorasick(looked_for, implementation=Implementation.DFA)

    def without(self, words: Set[int]) -> "Anchors":
        return Anchors(self.words, self.muted | words)

    def places(self, chunk: bytes) -> list[tuple[int, int, int]]:
        """(number of a word, its begin, its end), in order of their ends; also those that overlap.

        >>> words = Anchors(["Connection reset", "reset by", "x"])
        >>> words.places(b"Connection reset by peer")
        [(0, 0, 16), (1, 11, 19)]
        >>> words.without({0}).places(b"Connection reset by peer")
        [(1, 11, 19)]
        """
        found = self.automaton.find_matches_as_indexes(chunk, overlapping=True)
        return [(self.numbers[word], begin, end) for word, begin, end in found] if self.muted else found
