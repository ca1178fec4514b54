"""What the driver itself wants done with each GPU."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("recovery", "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION")
