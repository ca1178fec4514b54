"""What the job's own torch says of the GPUs: asked by its interpreter, in a process of its own."""
