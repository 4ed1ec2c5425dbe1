"""Other architectures with the same forward pass, one file each."""
