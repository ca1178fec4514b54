"""The command line. A command is a file in this folder, imported only when it is called."""

import ast
import importlib
import os
import sys
from pathlib import Path

import click

from diagnose import __version__

HERE = Path(__file__).parent


def summary(path: Path) -> str:
    """The first line of a file's docstring, read without importing it."""
    text = path.read_text(encoding="utf-8")
    first = text.split("\n", 1)[0]
    return (
        first[3:].removesuffix('"""')
        if first.startswith('"""')
        else (ast.get_docstring(ast.parse(text)) or "")
    )


class Lazy(click.Group):
    """A group whose commands are the files of this folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(p.stem.replace("_", "-") for p in HERE.glob("*.py") if not p.stem.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("-", "_")
        if name.startswith("_") or not (HERE / f"{name}.py").is_file():
            return None
        command: click.Command = importlib.import_module(f"diagnose.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(n, summary(HERE / f"{n.replace('-', '_')}.py")) for n in self.list_commands(ctx)]
            )


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="diagnose")
def group() -> None:
    """Who hung the multi-GPU job, why, how sure, and what to do now.

    Exit codes: 0 nothing wrong found, 1 causes found, 2 wrong usage, 3 could not tell, 70 internal error.
    `diagnose run` exits with the command's own code.
    """


def main() -> None:
    """Entry point: a traceback is never the user's; an error of ours exits 70."""
    try:
        code = group.main(prog_name="diagnose", standalone_mode=False)  # ctx.exit's code comes back
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("diagnose: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        if "DIAGNOSE_TRACEBACK" in os.environ:
            raise
        click.echo(f"diagnose: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("  set DIAGNOSE_TRACEBACK=1 to see where; please report it", err=True)
        sys.exit(70)
