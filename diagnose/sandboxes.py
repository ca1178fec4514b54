"""Text that a sandbox prints in the place of a kernel's log: gVisor's start-up, to the last line of it.

>>> told = Told()
>>> told.hear("[    0.354495] Daemonizing children..."), told.is_all, told.hear("[ 1.0] usb 1-1: new"), told.is_all
(False, True, False, False)
>>> Told().hear("[    0.000000] Starting gVisor...")
True
"""  # noqa: E501

import re

FIRST = re.compile(r"(?:^|\] |kernel: )Starting gVisor")
# In an order of chance, and a newer one may know more of them.
REST = re.compile(
    r"(?:^|\] |kernel: )(?:Setting up (?:VFS|FUSE)|Ready!$|Synthesizing system calls"
    r"|Mounting deweydecimalfs|Moving files to filing cabinet|Digging up root|Constructing home"
    r"|Segmenting fault lines|Creating (?:bureaucratic processes|cloned children|process schedule)"
    r"|Searching for (?:needles in stacks|socket adapter)|Preparing for the zombie uprising"
    r"|Feeding the init monster|Daemonizing children|Waiting for children|Gathering forks"
    r"|Committing treasure map to memory|Reading process obituaries|Generating random numbers by fair dice"
    r"|Rewriting operating system in Javascript|Reticulating splines|Consulting tar man page"
    r"|Forking spaghetti code|Checking naughty and nice process list|Granting licence to kill\(2\)"
    r"|Letting the watchdogs out|Conjuring /dev/null black hole|Adversarially training Redcode"
    r"|Singleplexing /dev/ptmx|Recruiting cron-ies|Verifying that no non-zero bytes"
    r"|Accelerating teletypewriter)"
)
REASON = "a sandbox's own text, not the kernel's log"


class Told:
    """What the lines of a file came to so far."""

    def __init__(self) -> None:
        self.num, self.is_all = 0, True

    def hear(self, text: str) -> bool:
        """Hear one more line; True where it tells by itself that this is a sandbox's log."""
        if FIRST.search(text[:200]):
            self.num, self.is_all = self.num + 1, True
            return True
        if self.is_all and text.strip():
            self.num, self.is_all = self.num + 1, bool(REST.search(text[:200]))
        return False

    @property
    def is_fiction(self) -> bool:
        return self.is_all and self.num > 0
