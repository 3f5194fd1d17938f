"""How ATOM tracks: a projection and a filter learned from nothing in the first frame (CVPR 2019, section 3.2).

B targets, N samples of a target, C channels of the features, D of the projected ones, n cells on each side of them, k
side of the filter, S side of a crop in pixels.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from easydict import EasyDict
from torch import Tensor

from ...layers.filters.fourier import interpolate
from ...layers.filters.localization import Localized
from ...layers.filters.response import ResponseRules, learn_both, learn_filter, project, respond
from ...layers.filters.target_filter import centre_in_cells, radius_map
from ..sample_memory import SampleMemory
from .method import DiscriminativeMethod
from .parts import STRIDE

if TYPE_CHECKING:
    from .atom import Atom


class Response(NamedTuple):
    """What is learned of a target."""

    filters: Tensor  # [B, D, k, k]
    projection: Tensor  # [B, D, C], of the first frame alone


class AtomMethod(DiscriminativeMethod):
    """Scores are interpolated to the pixels of the search region."""

    network: "Atom"

    def __init__(self, network: "Atom", test: EasyDict):
        super().__init__(network, test)
        classifier = test.CLASSIFIER
        self.channels, self.size = classifier.CHANNELS, classifier.FILTER_SIZE
        self.iterations: int = test.FIRST.ITERATIONS
        self.response = ResponseRules(
            classifier.LEAST_RESPONSE, classifier.FILTER_REGULARIZATION, classifier.PROJECTION_REGULARIZATION
        )
        # A target is as large as a sample over SEARCH_FACTOR, whatever its size in the frame.
        self.sigma: float = classifier.LABEL_SIGMA * self.search_size / (self.factor * STRIDE)

    def first_filters(self, features: Tensor, boxes: Tensor, random: np.random.Generator) -> tuple[Response, Tensor]:
        """Both from random numbers, by Gauss-Newton steps."""
        inputs, count = features.shape[1], self.channels * self.size**2
        projection = _normal(random, (self.channels, inputs), 1 / math.sqrt(inputs)).to(features)
        filters = _normal(random, (1, self.channels, self.size, self.size), 1 / count).to(features)
        weights = features.new_full((len(features),), 1 / len(features))
        samples = features, self.label(boxes, features), weights
        filters, projection = learn_both(
            (filters, projection), samples, self.response, [self.iterations] * self.first_steps
        )[-1]
        return Response(filters, projection[None]), project(features, projection)

    def label(self, boxes: Tensor, features: Tensor) -> Tensor:
        """What the filter should score: a Gaussian at the centre of each box [..., 4] -> [..., n, n]"""
        radius = radius_map(centre_in_cells(boxes, STRIDE, self.size), *features.shape[-2:])
        return torch.exp(-0.5 * (radius / self.sigma).square())

    def score(self, filters: Response, features: Tensor) -> Tensor:
        """The response, interpolated: [B, S, S]"""
        pairs = zip(features[:, None], filters.projection, strict=True)
        projected = torch.stack([project(own, projection) for own, projection in pairs])
        response = respond(projected, filters.filters)[:, 0]
        return interpolate(response, STRIDE * features.shape[-1])

    def locate(self, scores: Tensor, size: Tensor, last: Tensor, cells: int) -> Localized:
        """As DiscriminativeMethod; displacements count from the middle of the search region."""
        return self.rules(scores, size, torch.full_like(last, 0.5), scores.shape[-1])

    def make_sample(self, filters: Response, features: Tensor) -> Tensor:
        """The projected features."""
        return project(features, filters.projection[0])

    def improve(self, filters: Response, samples: SampleMemory, steps: int) -> Response:
        """The filter alone."""
        (features, boxes), weights = samples.used()
        labelled = features, self.label(boxes, features), weights
        return filters._replace(filters=learn_filter(filters.filters, labelled, self.response, steps))


def _normal(random: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Tensor:
    return torch.from_numpy(deviation * random.standard_normal(shape).astype(np.float32))
