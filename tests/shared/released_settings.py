"""Settings of small released models, which several tests build."""

SMALL = {
    "emb_dim": 8,
    "norm_type": "rmsgroupnorm",
    "num_groups": 4,
    "n_heads": 2,
    "attention_dim": 8,
    "ffn_type": ["swiglu_conv1d", "swiglu_conv1d"],
    "ffn_hidden_dim": [4, 6],
}
"""The sizes."""
TINY = SMALL | {
    "repeat_residual_module": True,
    "reconstructor_repeat_residual_module": False,
    "encoder_decoder": False,
    "spliter_loss": True,
}
"""A whole TISDiSS."""
