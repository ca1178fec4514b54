"""What the kernel's files say of memory, in bytes."""


def meminfo(raw: bytes) -> dict[str, int]:
    """`/proc/meminfo` by name: bytes, or a count where there is no unit.

    >>> meminfo(b"MemTotal:  2 kB\\nHugePages_Total:  3\\n")
    {'MemTotal': 2048, 'HugePages_Total': 3}
    """
    found = {}
    for line in raw.decode(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found
