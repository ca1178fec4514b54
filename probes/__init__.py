"""What runs beside the ranks: it looks, it never judges. For programs: `step`, `phase`, `note`."""

from probes.calls import note, phase, step

__all__ = ["note", "phase", "step"]
