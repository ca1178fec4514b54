"""Whether what a launcher has set in this environment fits together, and is whole."""

from collections.abc import Mapping

from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # for `env://`
LOCAL = ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
STEP_SIZES = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def measure(target: Target) -> list[Measurement]:
    where = ", ".join((*NEEDED, *LOCAL))
    if not any(name in target.environ for name in ("RANK", "WORLD_SIZE", *LOCAL)):
        return [
            skipped("environment", where, "no launcher has set anything here: torchrun does so for its ranks")
        ]
    return [of(target.environ, where)]


def of(environ: Mapping[str, str], where: str) -> Measurement:
    told = {name: number(environ.get(name, "")) for name in (*NEEDED, *LOCAL, *STEP_SIZES)}
    steps = [size for name in STEP_SIZES if (size := told[name]) is not None]
    port = told["MASTER_PORT"]
    return measured(
        "environment",
        where,
        lacking=", ".join(name for name in NEEDED if not environ.get(name)),
        is_rank_in_world=within(told["RANK"], told["WORLD_SIZE"]),
        is_local_in_local=within(told["LOCAL_RANK"], told["LOCAL_WORLD_SIZE"]),
        is_local_in_world=within((told["LOCAL_WORLD_SIZE"] or 1) - 1, told["WORLD_SIZE"]),
        is_step_world=told["WORLD_SIZE"] in steps if steps and told["WORLD_SIZE"] is not None else None,
        is_port=0 < port < 65536 if port is not None else "MASTER_PORT" not in environ,
    )


def number(text: str) -> int | None:
    return int(text) if text.isdigit() and len(text) < 10 else None


def within(part: int | None, whole: int | None) -> bool | None:
    return None if part is None or whole is None else part < whole
