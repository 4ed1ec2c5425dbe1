"""What travels between training, harness and analysis: names, identities, typed files.

Below all three: nothing here imports them."""
