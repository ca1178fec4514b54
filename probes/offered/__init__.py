"""What a container offers to those who look into it: one module for each kind of thing, asked and bounded."""
