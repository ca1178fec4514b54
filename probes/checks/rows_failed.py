"""Whether a faulty row of memory could not be replaced by a spare one."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("rows", "nvmlDeviceGetRemappedRows")
