"""Which words look drawn at random: keys that no pattern is for. Hashes, ids and names are none."""

import math
import re

# Not behind a slash or a dot: parts of paths, of URLs and of dotted names are no words of their own.
_WORD = re.compile(
    r"(?<![A-Za-z0-9+/_.@%-])[A-Za-z0-9_+][A-Za-z0-9+/_-]{23,4000}={0,2}(?![A-Za-z0-9+/_=-]|\.\w)"
)
# Of a platform, of a GPU; a hash; mangled C++.
_ID = re.compile(r"[a-z]{2,4}-[A-Za-z0-9]{18,30}|(?:GPU|MIG)-[0-9a-f/-]{30,60}|sha\d{1,3}-.*|_+Z.*", re.S)
_HASH = re.compile(r"(?i)(?:sha\d{1,3}|md5|digest|etag|integrity|fingerprint|checksum)\W{1,4}$")
_PARTS = re.compile(r"[A-Za-z0-9]+")
_BASE64 = {40, 43, 44, 64, 86, 88}  # characters of 30, 32, 48 and 64 bytes
_SPOKEN = re.compile(r"[a-z]{3,}")  # as in CamelCase
_LEAST, _TURNS, _BITS = 10, 0.38, 3.7


def words(text: str) -> "list[tuple[int, int]]":
    """Where such words stand.

    >>> words("key Zx81qLmN4pRt7vWy2bCd5fGh is refused by /opt/Zx81qLmN4pRt7vWy2bCd5fGh")
    [(4, 28)]
    """
    found = _WORD.finditer(text)
    return [
        m.span()
        for m in found
        if is_random(m[0]) and not _HASH.search(text, max(0, m.start() - 20), m.start())
    ]


def is_random(word: str) -> bool:
    """Letters of both cases and digits that change all the time, in one long part.

    >>> [is_random(w) for w in ("Zx81qLmN4pRt7vWy2bCd5fGh", "Meta-Llama-3-8B-Instruct-FP8")]
    [True, False]
    """
    if _ID.fullmatch(word) or ("/" in word and not word.endswith("=") and len(word) not in _BASE64):
        return False
    parts = _PARTS.findall(word)
    if max(map(len, parts), default=0) < _LEAST:
        return False
    part = "".join(parts)
    classes = [c.isdigit() + 2 * c.isupper() for c in part]
    if set(classes) != {0, 1, 2}:
        return False
    turns = sum([classes[i] != classes[i - 1] for i in range(1, len(part))]) / (len(part) - 1)
    is_plain = sum([c.isdigit() for c in part]) <= 2
    if sum(map(len, _SPOKEN.findall(part))) > (0.3 if is_plain else 0.5) * len(part):
        return False
    counts = [part.count(c) for c in set(part)]
    bits = -sum(n / len(part) * math.log2(n / len(part)) for n in counts)
    return turns >= _TURNS and bits >= _BITS
