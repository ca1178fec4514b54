"""Whether somebody already uses memory of the GPUs."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("memory", "nvmlDeviceGetMemoryInfo")
