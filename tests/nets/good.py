"""Networks as a user would write them."""

import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Module):
    def __init__(self, n_features, width=6):
        super().__init__()
        self.conv, self.head = nn.Conv1d(n_features, width, 3), nn.Linear(width, 1)

    def forward(self, x):
        return self.head(F.gelu(self.conv(x.transpose(1, 2))).mean(-1))


class Mlp(nn.Module):
    """With dropout of two rates, a frozen weight, and a buffer that every network draws for itself."""

    def __init__(self, n_features, context, width=8):
        super().__init__()
        self.register_buffer("mask", (torch.rand(n_features * context) > 0.1).float())
        self.gain = nn.Parameter(torch.rand(width) + 0.5, requires_grad=False)
        self.body = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(n_features * context, width), nn.ReLU(), nn.Dropout(0.3)
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        return self.head(self.gain * self.body(x.flatten(1) * self.mask)).squeeze(-1)


class Gru(nn.Module):
    """`torch.func` has no rule for it."""

    def __init__(self, n_features, width=6):
        super().__init__()
        self.rnn, self.head = nn.GRU(n_features, width, batch_first=True), nn.Linear(width, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        return self.head(self.drop(self.rnn(x)[0][:, -1])).squeeze(-1)


class Normed(nn.Module):
    """The windows of a batch see each other in training, and buffers change."""

    def __init__(self, n_features, width=6):
        super().__init__()
        self.up, self.norm = nn.Linear(n_features, width), nn.BatchNorm1d(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        return self.head(F.relu(self.norm(self.up(x[:, -1]))))


class Random(nn.Module):
    """Draws from torch's own generator in training."""

    def __init__(self, n_features):
        super().__init__()
        self.head = nn.Linear(n_features, 1)

    def forward(self, x):
        return self.head(F.dropout(x[:, -1], 0.3, self.training)).squeeze(-1)


class Sideways(nn.Module):
    """Its dropout layer sees no row per window, so it cannot be given bytes per window."""

    def __init__(self, n_features):
        super().__init__()
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(n_features, 1)

    def forward(self, x):
        return self.head(self.drop(x.transpose(0, 1))[-1]).squeeze(-1)


def attention(n_features):
    """A function that makes a network."""
    return Attention(n_features)


class Attention(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(n_features, 2, 8, 0.1, batch_first=True)
        self.head = nn.Linear(n_features, 1)

    def forward(self, x):
        return self.head(self.layer(x)[:, -1]).squeeze(-1)
