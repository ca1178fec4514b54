"""Pages of memory that are out of use, on GPUs before Ampere."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("pages", "nvmlDeviceGetRetiredPages")
