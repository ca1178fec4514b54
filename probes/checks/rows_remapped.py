"""How many rows of memory were replaced by spare ones after errors that could not be corrected."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("rows", "nvmlDeviceGetRemappedRows")
