"""What a hung job and its reduced preset, run right after it at the same place, say as a pair. Pure."""

from collections.abc import Mapping

HUNG = {"hang", "will_not_start"}
WORDS = {
    "only_full": "the reduced preset ran through at the same place where the full job hung",
    "both": "the reduced preset hung as the full job did",
    "unclear": "the reduced preset was run, and settles nothing",
}


def answer(told: Mapping[str, object]) -> tuple[str, str]:
    """`only_full`, `both` or `unclear`, and why it is unclear; `told` are the data of `reduced.ended`.

    >>> ranks = {"num_ranks": 8, "full_num_ranks": 8}
    >>> answer({"full_symptom": "hang", "symptom": "none", "exit_code": 0, **ranks})
    ('only_full', '')
    >>> answer({"full_symptom": "hang", "symptom": "crash", "exit_code": 1})
    ('unclear', 'it failed by itself, exit code 1')
    """
    if told.get("full_symptom") not in HUNG:
        return "unclear", "the full job did not hang"
    if told.get("symptom") in HUNG:  # fewer ranks that hang are a stronger sign, not a weaker one
        return "both", ""
    if told.get("is_cut"):
        return "unclear", "it was ended from outside"
    if told.get("exit_code") != 0:
        how = f"signal {told['signal']}" if told.get("signal") else f"exit code {told.get('exit_code')}"
        return "unclear", f"it failed by itself, {how}"
    num, of = told.get("num_ranks"), told.get("full_num_ranks")
    if not isinstance(num, int) or not isinstance(of, int) or num < of:
        return "unclear", f"it ran on {num or 'an unknown number of'} ranks, the full job on {of or 'more'}"
    return "only_full", ""


def words(told: Mapping[str, object]) -> str:
    found, why = answer(told)
    return f"{WORDS[found]}: {why}" if why else WORDS[found]
