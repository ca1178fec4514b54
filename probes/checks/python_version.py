"""Whether the command's program is there, and Python, the C library and py-spy fit together."""

import re

from probes import deadline, stacks
from probes.checking import interpreter, machine
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(limit_s=20.0)
PROGRAM = """
import json, os, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (ValueError, OSError):
    libc = ""
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([list(sys.version_info[:3]), sys.implementation.name, libc, free]))
"""


def measure(target: Target) -> list[Measurement]:
    """Versions as numbers: 311 is Python 3.11, 228 is glibc 2.28, 403 is py-spy 0.4.3."""
    where = f"{target.python}, py-spy --version"
    try:
        version, implementation, libc, is_free = interpreter.ask(target, PROGRAM, 8.0)
    except interpreter.NoAnswer as error:
        return [skipped("host", where, str(error))]
    path = stacks.find_py_spy()
    told = deadline.run([path, "--version"], 5.0).stdout.decode(errors="replace") if path else ""
    glibc = re.match(r"glibc (\d{1,3})\.(\d{1,3})", libc)
    program = machine.program(target.command)
    spy = re.search(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", told)
    return [
        measured(
            "host",
            where,
            program=program,
            is_program_there=bool(machine.which(program, target.environ)) if program else None,
            python=version[0] * 100 + version[1],
            implementation=implementation,
            is_free_threaded=is_free,
            glibc=int(glibc[1]) * 100 + int(glibc[2]) if glibc else 0,
            py_spy=int(spy[1]) * 10000 + int(spy[2]) * 100 + int(spy[3]) if spy else None,
        )
    ]
