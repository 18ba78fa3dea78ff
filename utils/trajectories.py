"""Curves through a space of Z dimensions, and paths that join given points.

Curves have N points from t = 0 to t = 1, both included. The axes of those that turn are random and orthonormal.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from utils.config import InputError


def line(start: Tensor, end: Tensor, n: int) -> Tensor:
    """Return points (N, Z) from `start` to `end`, (Z,) both, at constant speed."""
    return torch.lerp(start, end, _time(n))


def circle(centre: Tensor, radius: float, turns: float, n: int, generator: torch.Generator) -> Tensor:
    """Return o + r (cos(2 pi k t) a + sin(2 pi k t) b), (N, Z), for the centre o, radius r and k turns.

    Raises
    ------
    InputError : fewer than 2 dimensions.
    """
    return _turning(centre, radius, turns, _time(n), axes(2, len(centre), generator))


def helix(centre: Tensor, radius: float, turns: float, n: int, generator: torch.Generator, rise: float | None = None) -> Tensor:
    """Return a circle that moves by `rise` along a third axis, half of it before the centre and half after it, (N, Z).

    The rise is the diameter when not given.

    Raises
    ------
    InputError : fewer than 3 dimensions.
    """
    a, b, c = axes(3, len(centre), generator)
    along = (_time(n) - 0.5) * (2 * radius if rise is None else rise) * c
    return _turning(centre, radius, turns, _time(n), (a, b)) + along


def spiral(centre: Tensor, radius: float, turns: float, n: int, generator: torch.Generator, inner: float = 0.0) -> Tensor:
    """Return a circle whose radius goes linearly from `radius` to `inner` (an Archimedean spiral), (N, Z).

    Raises
    ------
    InputError : fewer than 2 dimensions.
    """
    return _turning(
        centre, torch.lerp(torch.tensor(radius), torch.tensor(inner), _time(n)), turns, _time(n), axes(2, len(centre), generator)
    )


def axes(number: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """Return random orthonormal vectors, (number, Z), evenly distributed: Q of the QR decomposition of Gaussian numbers.

    F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the AMS 54 (2007), section 5.

    Raises
    ------
    InputError : fewer dimensions than axes.
    """
    if dimensions < number:
        raise InputError(f"this curve needs {number} dimensions, but the latent space has {dimensions}: choose another one")
    q, r = torch.linalg.qr(torch.randn(dimensions, number, generator=generator))
    return (q * r.diagonal().sign()).T


def _time(n: int) -> Tensor:
    return torch.linspace(0, 1, n)[:, None]


def _turning(centre: Tensor, radius: float | Tensor, turns: float, t: Tensor, plane) -> Tensor:
    angle = 2 * math.pi * turns * t
    return centre + radius * (angle.cos() * plane[0] + angle.sin() * plane[1])


# -- between points ---------------------------------------------------------------------------------------------------


def interpolate(points: Tensor, steps: int, order: str = "1") -> Tensor:
    """Return a path ((N - 1) * steps + 1, Z) through N points (N, Z), at equal times from each to the next.

    Parameters
    ----------
    order : "0" holds each point until the next, "1" joins them by lines, "2" and "3" by a spline of that degree (or of N - 1, where
        that is less), "spherical" by `slerp`.
    """
    place = torch.arange((len(points) - 1) * steps + 1, device=points.device)
    segment = (place // steps).clamp(max=max(len(points) - 2, 0))
    if order == "0":
        return points[place // steps]
    if order in ("2", "3"):
        return _spline(points, place / steps, int(order))
    t = (place - segment * steps).to(points.dtype)[:, None] / steps
    between = slerp if order == "spherical" else torch.lerp
    return between(points[segment], points[(segment + 1).clamp(max=len(points) - 1)], t)


def resampled(points: Tensor, n: int) -> Tensor:
    """Return n points (n, Z) at even times, from the first to the last, along the lines that join points (M, Z)."""
    return functional.interpolate(points.T[None], size=n, mode="linear", align_corners=True)[0].T


def _spline(points: Tensor, place: Tensor, degree: int) -> Tensor:
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(range(len(points)), points.cpu().double().numpy(), k=min(degree, len(points) - 1))
    return torch.from_numpy(spline(place.cpu().numpy())).to(points)


def slerp(p: Tensor, q: Tensor, t: Tensor) -> Tensor:
    """Return points (N, Z) between `p` and `q`, (N, Z) both, at `t` (N, 1) in 0-1: turned evenly, and of lengths in between.

    K. Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, section 3.3, for directions; lengths change linearly.
    Where the shorter arc is not defined, between opposite vectors or from zero, and between parallel ones, the path is straight.
    """
    lengths = p.norm(dim=-1, keepdim=True), q.norm(dim=-1, keepdim=True)
    a, b = (v / length.clamp_min(1e-12) for v, length in zip((p, q), lengths, strict=True))
    angle = 2 * torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True))  # exact for small ones, too
    turned = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin() * torch.lerp(*lengths, t)
    straight = (angle.sin().abs() < 1e-4) | (torch.minimum(*lengths) < 1e-12)
    return torch.where(straight, torch.lerp(p, q, t), turned)
