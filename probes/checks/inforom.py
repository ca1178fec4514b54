"""Whether what the board stores about itself is intact."""

from probes.nvml import reading

CHECK = reading.CHECK
measure = reading.gpu_check("inforom", "nvmlDeviceValidateInforom")
