"""Samples that a filter is first learned from: one image of a target, moved, mirrored, blurred and rotated (ATOM, CVPR
2019, section 4; DiMP, ICCV 2019).

S side of a sample, E side of the larger image that samples are cut from, pixels; N samples. Images may be in half
precision; they are blurred and rotated in float32, since half precision does not tell the columns of an image apart.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from ..precision import at_least_float32

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FirstSamples:
    """Which samples there are. The first one is the image itself."""

    size: int  # S
    shifts: Sequence[Sequence[float]]  # of a moved sample each: y x as shares of S / 2
    flip: bool  # whether there is a mirrored sample
    blurs: Sequence[Sequence[float]]  # of a blurred sample each: deviations in y and x, pixels
    rotations: Sequence[float]  # of a rotated sample each: degrees
    random_shift: float  # mirrored, blurred and rotated samples move over this share of S

    @property
    def draws(self) -> int:
        """The number of samples that are moved at random."""
        return int(self.flip) + len(self.blurs) + len(self.rotations)

    def __call__(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The samples and how far each is moved: image [C, E, E] with the target in the middle, noise [draws, 2]
        uniform in [0, 1] -> [N, C, S, S] and y x in pixels [N, 2] int64

        Raises ValueError where E is not at least S.
        """
        if min(image.shape[-2:]) < self.size:
            raise ValueError(f"samples of {self.size} pixels need a larger image than {tuple(image.shape[-2:])}")
        changes: list[Change] = [lambda given: given.flip(-1)] if self.flip else []
        changes += [functools.partial(blur_image, deviations=blur) for blur in self.blurs]
        changes += [functools.partial(rotate_image, angle=angle) for angle in self.rotations]
        fixed = [(0.0, 0.0), *(tuple(0.5 * self.size * part for part in shift) for shift in self.shifts)]
        random = ((noise - 0.5) * self.size * self.random_shift).tolist()
        moves = torch.tensor([*fixed, *random]).trunc().long()
        whole = [image] * len(fixed) + [change(image[None])[0] for change in changes]
        return torch.stack([self._cut(one, *move) for one, move in zip(whole, moves.tolist(), strict=True)]), moves

    def _cut(self, image: Tensor, down: int, right: int) -> Tensor:
        """The middle of an image that moves down and right; its border is repeated."""
        places = []
        for side, move in zip(image.shape[-2:], (down, right), strict=True):
            first = (side - self.size + 1) // 2 - move
            places.append(torch.arange(first, first + self.size, device=image.device).clamp(0, side - 1))
        return image[:, places[0][:, None], places[1]]


def blur_image(images: Tensor, deviations: Sequence[float]) -> Tensor:
    """Gaussian blur: [N, C, H, W], deviations in y and x in pixels -> same shape; the border is repeated."""
    blurred = at_least_float32(images).flatten(0, 1)[:, None]
    for axis, deviation in enumerate(deviations):
        reach = math.ceil(2 * deviation)
        kernel = torch.exp(-torch.arange(-reach, reach + 1, device=images.device).square() / (2 * deviation**2))
        kernel = (kernel / kernel.sum()).to(blurred.dtype)
        around = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
        blurred = conv2d(pad(blurred, around, mode="replicate"), kernel.view(shape))
    return blurred.view(images.shape).to(images.dtype)


def rotate_image(images: Tensor, angle: float) -> Tensor:
    """Rotation about the middle by degrees, counter-clockwise, bilinear: [N, C, H, H] -> same shape; the border is
    repeated."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    exact = at_least_float32(images)
    turn = exact.new_tensor([[cosine, -sine, 0], [sine, cosine, 0]]).expand(len(images), 2, 3)
    grid = affine_grid(turn, list(images.shape), align_corners=True)
    turned = grid_sample(exact, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return turned.to(images.dtype)
