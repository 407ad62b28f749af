"""Where the pieces of tissue lie on the glass, and where the tumours lie in them, in micrometres, from the seed alone.

An outline is a star-shaped curve around a centre: its radius is a short Fourier series of the angle. A tumour's truth
is the polygon through points of that curve, 2 um apart (at most 720 points); the polygon departs from the curve by far
less than a nucleus. Known weakness: a star shape has no holes and no deep inlets.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_gigaclf.slides.phantom.noise import Floats, Noise, hash_cells, salted, uniform

TumourKind = Literal["macro", "micro", "cells"]

_ISLAND: Final = 101
_TUMOUR: Final = 102
_EDGE: Final = 10
_PLACE_TRIES: Final = 80
_MAX_TUMOURS: Final = 300
_MARGIN_UM: Final = 18.0
"""Least distance from a tumour's outline to glass, and half the least distance between two tumours."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A star-shaped closed curve: radius ``1 + sum(a_k cos(k t) + b_k sin(k t))``, stretched by the two semi-axes."""

    y_um: float
    x_um: float
    semi_y_um: float
    semi_x_um: float
    cosine: tuple[float, ...]
    sine: tuple[float, ...]

    @property
    def reach(self) -> float:
        """Upper bound of the radius, in units of the semi-axes."""
        return 1.0 + sum(abs(c) for c in self.cosine) + sum(abs(s) for s in self.sine)

    @cached_property
    def bounds_um(self) -> tuple[float, float, float, float]:
        """Box (y0, y1, x0, x1) that surely holds the curve."""
        dy, dx = self.reach * self.semi_y_um, self.reach * self.semi_x_um
        return self.y_um - dy, self.y_um + dy, self.x_um - dx, self.x_um + dx

    def depth_um(self, y: Floats, x: Floats) -> Floats:
        """Return about how far inside the curve points lie, in um; negative outside."""
        v = (y - np.float32(self.y_um)) * np.float32(1.0 / self.semi_y_um)
        u = (x - np.float32(self.x_um)) * np.float32(1.0 / self.semi_x_um)
        r = np.sqrt(u * u + v * v) + np.float32(1e-6)
        c1, s1 = u / r, v / r
        c, s = c1, s1
        radius = np.full_like(r, 1.0)
        for a, b in zip(self.cosine, self.sine, strict=True):
            radius += np.float32(a) * c + np.float32(b) * s
            c, s = c * c1 - s * s1, s * c1 + c * s1
        depth: Floats = (radius - r) * np.float32(min(self.semi_y_um, self.semi_x_um))
        return depth

    def vertices_um(self) -> NDArray[np.float64]:
        """Return points of the curve, (n, 2) as (y, x), not closed."""
        length = 2 * np.pi * max(self.semi_y_um, self.semi_x_um)
        t = np.linspace(0.0, 2 * np.pi, int(np.clip(length / 2.0, 48, 720)), endpoint=False)
        radius = np.ones_like(t)
        for k, (a, b) in enumerate(zip(self.cosine, self.sine, strict=True), start=1):
            radius += a * np.cos(k * t) + b * np.sin(k * t)
        return np.stack(
            [self.y_um + self.semi_y_um * radius * np.sin(t), self.x_um + self.semi_x_um * radius * np.cos(t)], axis=1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumour:
    """One tumour of the slide: its size class and its outline in um."""

    kind: TumourKind
    outline: Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Islands of tissue and the tumours in them."""

    islands: tuple[Outline, ...]
    tumours: tuple[Tumour, ...]


class Draws:
    """A row of uniform random numbers, for things that are drawn once per slide."""

    def __init__(self, seed: int, purpose: int) -> None:
        self._seed = salted(seed, purpose)
        self._next = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return the next number, in [low, high)."""
        self._next += 1
        word = hash_cells(self._seed, np.array([self._next]), np.array([0]))
        return low + (high - low) * float(uniform(word, 0)[0])

    def outline(self, *, y: float, x: float, semi: tuple[float, float], rough: float, harmonics: int) -> Outline:
        """Return a random outline around a centre; ``rough`` is the size of its second harmonic."""
        cosine, sine = [0.0], [0.0]
        for k in range(2, harmonics + 1):
            size = rough * 2.0 / k
            cosine.append(self.uniform(-size, size))
            sine.append(self.uniform(-size, size))
        return Outline(y_um=y, x_um=x, semi_y_um=semi[0], semi_x_um=semi[1], cosine=tuple(cosine), sine=tuple(sine))


def tissue_depth(noise: Noise, islands: tuple[Outline, ...], y: Floats, x: Floats) -> Floats:
    """Return how far inside tissue points lie, in um (about; negative on glass)."""
    size = min((min(island.semi_y_um, island.semi_x_um) for island in islands), default=1.0)
    depth = np.full_like(y, -1e4)
    if not y.size:
        return depth
    y_low, y_high, x_low, x_high = float(y.min()), float(y.max()), float(x.min()), float(x.max())
    for island in islands:
        y0, y1, x0, x1 = island.bounds_um
        if y0 - size > y_high or y1 + size < y_low or x0 - size > x_high or x1 + size < x_low:
            continue
        near = (y > y0 - size) & (y < y1 + size) & (x > x0 - size) & (x < x1 + size)
        if near.all():
            np.maximum(depth, island.depth_um(y, x), out=depth)
        elif near.any():
            depth[near] = np.maximum(depth[near], island.depth_um(y[near], x[near]))
    for channel, (wavelength, height) in enumerate(((0.45, 0.11), (0.16, 0.05), (0.06, 0.02))):
        scale = np.float32(1.0 / (wavelength * size))
        depth += np.float32(height * size) * noise.at(_EDGE + channel, y * scale, x * scale)
    # Below this depth it makes no difference that islands were left out where they are out of reach.
    return np.maximum(depth, np.float32(-0.3 * size))


def make_layout(seed: int, noise: Noise, height_um: float, width_um: float, *, tumour: bool) -> Layout:
    """Return the layout of a slide: pieces of at most about 12 mm, and tumours of all sizes inside them."""
    islands = _islands(seed, height_um, width_um)
    return Layout(islands=islands, tumours=_tumours(seed, noise, islands) if tumour else ())


def _islands(seed: int, height_um: float, width_um: float) -> tuple[Outline, ...]:
    draws = Draws(seed, _ISLAND)
    pitch = float(np.clip(0.95 * min(height_um, width_um), 600.0, 12_000.0))
    rows, columns = max(1, round(height_um / pitch)), max(1, round(width_um / pitch))
    cell_y, cell_x = height_um / rows, width_um / columns
    islands = []
    for row in range(rows):
        for column in range(columns):
            size_y, size_x = draws.uniform(0.33, 0.41) * cell_y, draws.uniform(0.33, 0.41) * cell_x
            present = draws.uniform() < 0.85
            outline = draws.outline(
                y=(row + 0.5 + draws.uniform(-0.05, 0.05)) * cell_y,
                x=(column + 0.5 + draws.uniform(-0.05, 0.05)) * cell_x,
                semi=(size_y, size_x),
                rough=0.07,
                harmonics=7,
            )
            if present or rows * columns == 1:
                islands.append(outline)
    return tuple(islands)


def _tumours(seed: int, noise: Noise, islands: tuple[Outline, ...]) -> tuple[Tumour, ...]:
    draws = Draws(seed, _TUMOUR)
    placed: list[Tumour] = []
    for island in islands:
        size = min(island.semi_y_um, island.semi_x_um)
        wishes: list[TumourKind] = []
        if size > 150 and draws.uniform() < 0.8:
            wishes.append("macro")
        if size > 300:
            wishes += ["micro"] * int(draws.uniform(1, 4))
        cells = int(draws.uniform(2, 7))
        if size > 60:
            wishes += ["cells"] * cells
        for kind in wishes:
            if len(placed) < _MAX_TUMOURS:
                _place(draws, noise, islands, island, kind, placed)
    return tuple(placed)


def _radius_um(draws: Draws, kind: TumourKind, size_um: float) -> float:
    if kind == "macro":
        return min(draws.uniform(0.28, 0.5) * size_um, 2500.0)
    if kind == "micro":
        return min(float(60.0 * 5.0 ** draws.uniform()), 0.2 * size_um)
    return draws.uniform(17.0, 30.0)


def _place(
    draws: Draws, noise: Noise, islands: tuple[Outline, ...], island: Outline, kind: TumourKind, placed: list[Tumour]
) -> None:
    """Add a tumour of this kind to ``placed`` where it fits; a kind that fits nowhere is left out."""
    size = min(island.semi_y_um, island.semi_x_um)
    radius = _radius_um(draws, kind, size)
    harmonics = {"macro": 9, "micro": 6, "cells": 3}[kind]
    for attempt in range(_PLACE_TRIES):
        stretch = draws.uniform(0.85, 1.18)
        shrunk = radius * (1.0 if kind == "cells" else 0.99**attempt)
        outline = draws.outline(
            y=island.y_um + draws.uniform(-0.8, 0.8) * island.semi_y_um,
            x=island.x_um + draws.uniform(-0.8, 0.8) * island.semi_x_um,
            semi=(shrunk * stretch, shrunk / stretch),
            rough=0.09,
            harmonics=harmonics,
        )
        if _fits(outline, noise, islands, placed):
            placed.append(Tumour(kind=kind, outline=outline))
            return


def _fits(outline: Outline, noise: Noise, islands: tuple[Outline, ...], placed: list[Tumour]) -> bool:
    reach = max(outline.semi_y_um, outline.semi_x_um) * outline.reach
    for other in placed:
        gap = np.hypot(outline.y_um - other.outline.y_um, outline.x_um - other.outline.x_um)
        if gap < reach + max(other.outline.semi_y_um, other.outline.semi_x_um) * other.outline.reach + 2 * _MARGIN_UM:
            return False
    points = outline.vertices_um().astype(np.float32)
    centre = np.array([[outline.y_um, outline.x_um]], dtype=np.float32)
    inside = np.concatenate([points, (points + centre) / 2, centre])
    return bool(tissue_depth(noise, islands, inside[:, 0], inside[:, 1]).min() > _MARGIN_UM)
