"""Long-run variance: how much the sum of a series varies whose items depend on each other.

The variance of a sum over times is the sum of the autocovariances of all lags. A flat-top kernel
estimates it: weight 1 up to three block lengths, falling to 0 at six. Politis and Romano,
"Bias-corrected nonparametric spectral estimation" (1995). The kernel is applied as its spectrum,
whose negative parts are set to 0, so that variances of linear statistics are never negative and
their covariances fit together. The same kernel colours random noise, whose products with the
influences of many models are their joint distribution. Shao, "The Dependent Wild Bootstrap" (2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.special import stdtrit

from trueness.evaluation.blocks import DRAWS, SETS_KEPT, Blocks

Array = NDArray[np.float64]
AT_ONCE = 8
"""Series that are multiplied with noise together."""
FLAT, WIDTH = 3, 6
"""Block lengths up to which lags count in full, and from which they do not."""
FLAT_SHARE, WIDTH_SHARE = 10, 5
"""Short series: at most a tenth of the items in full, a fifth at all."""


@dataclass(frozen=True)
class Window:
    """Flat-top kernel for a series of so many items.

    Attributes
    ----------
    items : int
        Times or clusters.
    flat, width : int
        Lags of weight 1, and the first lag of weight 0.

    Examples
    --------
    >>> window = Window.of(Blocks.of(3000, length=20))
    >>> window.flat, window.width, round(window.freedom)
    (60, 120, 28)
    """

    items: int
    flat: int
    width: int

    @classmethod
    def of(cls, blocks: Blocks) -> Window:
        """Kernel for what blocks draw; blocks of length 1 are independent of each other."""
        return _window(blocks.items, blocks.length)

    @cached_property
    def lags(self) -> Array:
        """Weights of the lags 0 to `width`, (width + 1,), before the spectrum is clipped."""
        lag = np.arange(self.width + 1)
        return np.clip((self.width - lag) / (self.width - self.flat), 0, 1)

    @cached_property
    def size(self) -> int:
        """Points of the Fourier transform, even; no lag wraps around."""
        return 2 * int(next_fast_len((self.items + self.width + 2) // 2, real=True))

    @cached_property
    def spectrum(self) -> Array:
        """Weights of the frequencies, (size // 2 + 1,), none below 0, corrected for the mean.

        The sum of items whose mean was taken off has too small a variance. What is clipped makes
        that of independent items up to a quarter too large, so their intervals are a tenth wider
        than they need be.
        """
        weights = np.maximum(self.spectrum_of(self.lags), 0)
        return weights / (1 - self._share_of_mean(weights)) if self.items > 1 else weights

    def spectrum_of(self, kernel: Array) -> Array:
        """Spectrum of a kernel given at the lags 0 to `width`, (size // 2 + 1,).

        It may be negative; that of a covariance is not.
        """
        whole = np.zeros(self.size)
        whole[: self.width + 1] = kernel
        whole[-self.width :] += kernel[:0:-1]
        return np.fft.rfft(whole).real

    def _share_of_mean(self, weights: Array) -> float:
        kernel, lag = self._kernel(weights)
        return float((kernel * (1 - lag / self.items)).sum() / (self.items * kernel[0]))

    def _kernel(self, weights: Array) -> tuple[Array, NDArray[np.int64]]:
        """Weights of the lags that the series has, and these lags, from -items to items."""
        place = np.arange(self.size)
        lag = np.minimum(place, self.size - place)
        inside = lag < self.items
        return np.fft.irfft(weights, self.size)[inside], lag[inside]

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of a variance: items by the sum of the squared weights of lags."""
        kernel, _ = self._kernel(self.spectrum)
        return float(self.items * kernel[0] ** 2 / np.square(kernel).sum())

    def variance(self, series: ArrayLike) -> Array:
        """Variance of the sum of each series (..., items) of mean 0, (...)."""
        return self.of_products(self.transform(series), self.spectrum)

    def of_products(self, transformed: NDArray[np.complex128], spectrum: Array) -> Array:
        """Sum of the products of all pairs of items of a series, times the kernel at their lag.

        Parameters
        ----------
        transformed : (..., size // 2 + 1)
            Fourier transform of the series.
        spectrum : (size // 2 + 1,)
            Of the kernel.
        """
        power = (np.square(transformed.real) + np.square(transformed.imag)) * spectrum
        twice = 2 * power.sum(-1) - power[..., 0] - power[..., -1]
        return np.asarray(twice / self.size)

    def coloured(
        self, transformed: NDArray[np.complex128], spectrum: Array | None = None
    ) -> NDArray[np.float32]:
        """Series whose products with white noise have the variance `of_products`, (..., size).

        The spectrum is that of the window unless another one is given, without negative parts.
        """
        root = np.sqrt(self.spectrum if spectrum is None else spectrum)
        return np.fft.irfft(transformed * root, self.size).astype(np.float32)

    def transform(self, series: ArrayLike) -> NDArray[np.complex128]:
        """Fourier transform of series (..., items), (..., size // 2 + 1)."""
        return np.fft.rfft(series, self.size)

    def draws(self, coloured: NDArray[np.float32], draws: int = DRAWS, seed: int = 0) -> Array:
        """Normal deviations of the sums of some series, from `coloured` (m, size), (m, draws).

        The same arguments give the same noise, so that statistics of several models are paired. A
        series has the same draws whatever stands beside it: series go through the product in equal
        portions, since its rounding depends on how many there are.
        """
        noise, m = _noise(self.size, draws, seed), len(coloured)
        whole = np.zeros((max(1, -(-m // AT_ONCE)) * AT_ONCE, self.size), np.float32)
        whole[:m] = coloured
        portions = [whole[i : i + AT_ONCE] @ noise for i in range(0, len(whole), AT_ONCE)]
        return np.concatenate(portions)[:m].astype(np.float64)

    def critical(self, confidence: float) -> float:
        """Student's quantile of a two-sided interval."""
        return float(stdtrit(self.freedom, (1 + confidence) / 2))


@lru_cache(maxsize=64)
def _window(items: int, length: int) -> Window:
    if length == 1:
        return Window(items, 0, 1)
    width = max(1, min(WIDTH * length, items // WIDTH_SHARE))
    return Window(items, min(FLAT * length, items // FLAT_SHARE, width - 1), width)


@lru_cache(maxsize=SETS_KEPT)
def _noise(size: int, draws: int, seed: int) -> NDArray[np.float32]:
    result = np.random.default_rng(seed).standard_normal((size, draws), np.float32)
    result.flags.writeable = False
    return result
