"""One file per form in which a verdict is shown."""
