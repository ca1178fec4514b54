"""Ask NVML everything that the pre-flight asks, and print it as one event line: `python -m probes.nvml`."""

import argparse
import sys

from probes.emit import open_log
from probes.nvml import questions
from probes.nvml.asking import ask


def main(argv: list[str] | None = None) -> int:
    """Ask NVML everything that the pre-flight asks, in a child that may hang."""
    parser = argparse.ArgumentParser(prog="python -m probes.nvml", description=main.__doc__)
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="until NVML must have answered"
    )
    given = parser.parse_args(argv)
    asked = ask(questions.SYSTEM_WIDE, questions.OF_GPU, given.seconds)
    gpus = [
        {name: asked.of(name, gpu) for name in questions.OF_GPU if asked.of(name, gpu) is not None}
        for gpu in range(asked.num_gpus)
    ]
    refused = {f"{name} {gpu}".removesuffix(" -1"): why for (name, gpu), why in asked.errors.items()}
    host = {name: asked.of(name) for name in questions.SYSTEM_WIDE}
    open_log("nvml").info(
        "nvml.asked", error=asked.error, hung=asked.hung, host=host, gpus=gpus, refused=refused
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
