"""The parts of the agent: each watches one thing; probes.agent puts them together."""
