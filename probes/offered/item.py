"""One thing that was asked for: is it there, and why not."""

import errno
from typing import Any, NamedTuple

_ABSENT = {errno.ENOENT, errno.ENOSYS, errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENXIO}


class Item(NamedTuple):
    """`state` is present, absent, or refused (there, but not for us, or not what it seems)."""

    name: str
    state: str
    value: Any = None
    reason: str = ""


def of_error(name: str, error: OSError) -> Item:
    """
    >>> of_error("a", OSError(1, "Operation not permitted")), of_error("b", OSError(38, "no such call")).state
    (Item(name='a', state='refused', value=None, reason='Operation not permitted'), 'absent')
    """
    state = "absent" if error.errno in _ABSENT else "refused"
    return Item(name, state, reason=error.strerror or str(error))
