import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, settings):
        super().__init__()
        width, kernel, self.n_src = settings.channels, settings.kernel, settings.n_src
        self.deepest = settings.blocks
        grid = {"stride": kernel // 2, "padding": kernel // 2}
        self.encoder = nn.Conv1d(1, width, kernel, **grid)
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=1) for _ in range(self.deepest)
        )
        self.masks = nn.Conv1d(width, width * self.n_src, 1)
        self.decoder = nn.ConvTranspose1d(width, 1, kernel, **grid)

    def forward(self, mixture):
        return next(self.outputs(mixture, [self.deepest]))

    def outputs(self, mixture, depths):
        coded = features = self.encoder(nn.functional.pad(mixture, (0, 64))[:, None])
        for depth, block in enumerate(self.blocks, start=1):
            features = features + block(features).relu()
            if depth in depths:
                masks = self.masks(features).unflatten(1, (self.n_src, -1)).sigmoid()
                waves = self.decoder((masks * coded[:, None]).flatten(0, 1))
                yield waves.view(len(mixture), self.n_src, -1)[..., : mixture.shape[-1]]


def snr(estimates, sources):
    noise = (estimates - sources).square().sum(-1)
    return 10 * torch.log10(sources.square().sum(-1) / noise)
