"""A command's words as flags and plain ones: order does not matter, nor `--lr 0.1` against `--lr=0.1`."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

NUMBER = re.compile(r"-[0-9.]")
SETTING = re.compile(r"([+~]{0,2}[A-Za-z_][\w.@/-]{0,200})=(.*)", re.S)  # of Hydra and OmegaConf
SET = "set"  # what a flag without a value holds


class Words(NamedTuple):
    """`flags`: name -> values, in order; `plain`: the words that are none."""

    flags: dict[str, list[str]]
    plain: list[str]


def read(words: Sequence[str]) -> Words:
    """
    >>> read(["python", "train.py", "--lr", "-0.1", "--fast", "--batch_size=8", "opt.name=sgd"])
    Words(flags={'--lr': ['-0.1'], '--fast': ['set'], '--batch-size': ['8'], 'opt.name': ['sgd']}, plain=['python', 'train.py'])
    """  # noqa: E501
    found, plain = dict[str, list[str]](), list[str]()
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        if word == "--":
            continue
        if not is_flag(word):
            setting = SETTING.fullmatch(word)
            if setting:
                found.setdefault(setting[1], []).append(setting[2])
            else:
                plain.append(word)
            continue
        name, equals, value = word.partition("=")
        if not equals:
            takes = at < len(words) and not is_flag(words[at]) and not is_program(words[at])
            value, at = (words[at], at + 1) if takes and name != "-m" else (SET, at)
        found.setdefault(plain_name(name), []).append(value)
    return Words(found, plain)


def both(before: Sequence[str], after: Sequence[str]) -> tuple[Words, Words]:
    """Two commands. A flag of one alone whose value stands plain in the other takes none.

    >>> a, b = both(["sh", "-x", "job"], ["sh", "job"])
    >>> a.flags, a.plain, b.plain
    ({'-x': ['set']}, ['sh', 'job'], ['sh', 'job'])
    """
    one, other = read(before), read(after)
    return bare(one, other), bare(other, one)


def bare(mine: Words, other: Words) -> Words:
    flags, plain = {name: list(values) for name, values in mine.flags.items()}, list(mine.plain)
    for name, values in flags.items():
        value = values[-1]
        if name not in other.flags and value != SET and other.plain.count(value) > plain.count(value):
            values[-1] = SET
            plain.insert(min(other.plain.index(value), len(plain)), value)
    return Words(flags, plain)


def is_flag(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and not NUMBER.match(word)


def is_program(word: str) -> bool:
    return word.endswith((".py", ".sh"))


def plain_name(name: str) -> str:
    """
    >>> plain_name("--nproc_per_node"), plain_name("-m")
    ('--nproc-per-node', '-m')
    """
    return name.replace("_", "-") if name.startswith("--") else name


def program(words: Sequence[str]) -> str:
    """What the command runs: its script or module, else its first word.

    >>> program(["torchrun", "--nproc-per-node", "2", "src/train.py", "--lr", "1"]), program(["python", "-m", "my.job"])
    ('train.py', 'my.job')
    """  # noqa: E501
    for num, word in enumerate(words):
        if word.endswith(".py"):
            return PurePath(word).name
        is_ours = num and words[num - 1] == "-m" and not word.startswith("torch.distributed.")
        if is_ours:
            return word
    return PurePath(words[0]).name if words else ""
