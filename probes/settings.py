"""Which variables decide how ranks compute and meet. One list, which the ranks have too."""

from probes.rank_hook.diagnose_rank.settings import LONGEST, OF_RANKS, told

__all__ = ["LONGEST", "OF_RANKS", "told"]
