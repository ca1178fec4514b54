"""The command `diagnose`, and `python -m diagnose`. Imports nothing of ours before a Ctrl-C is heard."""

import sys


def main() -> None:
    try:
        from diagnose.cli import main as run

        run()
    except KeyboardInterrupt:
        print("diagnose: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
