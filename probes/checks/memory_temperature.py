"""How warm the memory of each GPU is."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("memory_temperature", "NVML_FI_DEV_MEMORY_TEMP")
