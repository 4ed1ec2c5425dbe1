"""Sound files as others made them: what is read decides, not what a header promises."""
