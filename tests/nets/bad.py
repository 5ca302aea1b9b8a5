"""Networks that cannot be trained, or whose scores would mean nothing."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.head = nn.Linear(n_features, 1)

    def forward(self, x):
        return self.head(x[:, -1]).squeeze(-1)


class Wide(Net):
    def forward(self, x):
        return self.head(x)


class Pair(Net):
    def forward(self, x):
        return super().forward(x), x


class Nan(Net):
    def forward(self, x):
        return super().forward(x).log().log()


class Restless(Net):
    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


class Crowd(Net):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Raises(Net):
    def forward(self, x):
        return self.head(x[:, -1, :-1])


class Picky(Net):
    def __init__(self, n_features, size):
        raise ValueError("size is never right\nat all")


class Double(Net):
    def __init__(self, n_features):
        super().__init__(n_features)
        self.double()


class Weightless(nn.Module):
    def forward(self, x):
        return x[:, -1, 0]


class Replaces(Net):
    def __init__(self, n_features):
        super().__init__(n_features)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen = self.seen + 1
        return super().forward(x)


class Centres(Net):
    def forward(self, x):
        x -= x.mean(1, keepdim=True)
        return super().forward(x)


class Doubles(Net):
    def forward(self, x):
        if self.training:
            x *= 2
        return super().forward(x)


class Detached(Net):
    def forward(self, x):
        return super().forward(x).detach()


def nothing():
    return "a word"


WORD = "no class"
