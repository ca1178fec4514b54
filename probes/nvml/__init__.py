"""What NVML says of the GPUs: asked in children that may hang, never in a process that must go on."""
