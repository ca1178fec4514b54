"""Secrets are hidden before anything is written. One implementation, which the ranks have too."""

from probes.rank_hook.diagnose_rank.redact import HIDDEN, is_secret_name, redact, redact_argv, redact_value

__all__ = ["HIDDEN", "is_secret_name", "redact", "redact_argv", "redact_value"]
