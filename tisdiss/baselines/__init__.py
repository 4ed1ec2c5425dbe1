"""Other architectures behind the same forward pass, one file each."""
