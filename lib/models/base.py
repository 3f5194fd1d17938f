"""The base class of all networks, and the batch of pairs. B targets, M modalities (visible; visible and infrared)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ..core.errors import InputError
from ..core.frame import GREY_COPY
from ..core.registry import choose

if TYPE_CHECKING:
    from .method import Method


#: What the search region of a training pair shows: the target again (from a video, from the same still image), another
#: object of the target's category, or an object of another category (DaSiamRPN, ECCV 2018).
PAIR_KINDS = ("video", "still", "same_category", "other_category")


class PairBatch(NamedTuple):
    """Training pairs. Images are normalised before they reach a network; boxes are xywh in units of their crop."""

    template: Tensor  # [B, M, 3, Sz, Sz]
    template_box: Tensor  # [B, 4]
    search: Tensor  # [B, M, 3, Sx, Sx]
    search_box: Tensor  # [B, 4] the target's box; in a negative pair the other object's
    # For trackers that learn from negative pairs. None: every pair is positive, other objects are not annotated.
    positive: Tensor | None = None  # [B] bool
    others: Tensor | None = None  # [B, K, 4] other objects in the search region, NaN where there are fewer
    kind: Tensor | None = None  # [B] int64, which of `PAIR_KINDS`
    # For networks that learn masks. None: no pair has one.
    mask: Tensor | None = None  # [B, Sx, Sx] uint8, the target's pixels in the search region: 255 inside, 0 outside
    has_mask: Tensor | None = None  # [B] bool, whether the pair has a mask; None: all pairs have

    @property
    def size(self) -> int:
        """B."""
        return len(self.search)

    def apply(self, change: Callable[[Tensor], Tensor]) -> "PairBatch":
        """The batch with `change` applied to every tensor; None stays None."""
        return PairBatch._make(part if part is None else change(part) for part in self)

    def normalised(self, normalize: Callable[[Tensor], Tensor]) -> "PairBatch":
        """The batch with normalised images."""
        return self._replace(template=normalize(self.template), search=normalize(self.search))


class ScoreMap(NamedTuple):
    """For each cell of the search region, how likely the target's centre lies there."""

    scores: Tensor  # [B, n, n] in [0, 1]
    first: float  # centre of the first column (and row), in crop units
    step: float  # distance between neighbouring cells, in crop units


class Network(nn.Module):
    """Weights and arithmetic. A network has no settings of tracking (a `Method` has them) and stores nothing about any
    target (`embed` returns it)."""

    modalities: int = 2
    #: The method that tracks with this network.
    method_class: ClassVar[type["Method"]]
    #: Patterns of public checkpoint keys that never reach an output, and are therefore not part of this network.
    dropped_keys: Sequence[str] = ()
    #: Patterns of keys that stay float32 in reduced precision, because their rounding errors would reach the box.
    precise: Sequence[str] = ()
    #: Pieces of keys. Weights whose keys contain all of them belong to this network (lib.models.weights).
    marks: Sequence[str] = ()
    #: Pieces of parameter names. Such parameters start from scratch where training starts from a single-object tracker.
    new_after_tracker: Sequence[str] = ()
    missing_infrared = GREY_COPY  # what a network of two modalities is given where a frame has no infrared image
    backbone_key = "MODEL.BACKBONE"  # the key that error messages name where weights do not fit the backbone
    learns_offline = True  # whether training can change it
    #: Whether it makes the boxes of other trackers more precise instead of finding targets (lib.test.tracker.refiner).
    refines = False
    samples = "pairs"  # what training shows it: a name of lib.train.data.loader.LOADERS
    training_crops = "jittered"  # how training cuts its pairs: a name of lib.train.data.loader.TRAINING_CROPS

    normalize: nn.Module  # [B, M, 3, S, S] uint8 RGB -> float, the input of `embed` and `forward`
    dtype: torch.dtype = torch.float32  # of the images that `embed` and `forward` take

    @abstractmethod
    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """What is computed once per target: a tree of tensors with leading dimension B.

        template: [B, M, 3, Sz, Sz] normalised; box: [B, 4] cxcywh in units of the template, None: centred, as cut.
        """

    @abstractmethod
    def forward(self, memory: Any, search: Tensor) -> Any:
        """search [B, M, 3, Sx, Sx] normalised -> Prediction"""

    @abstractmethod
    def read(self, prediction: Any) -> Tensor:
        """The most likely boxes by the network alone, without the rules of tracking: [B, 4] cxcywh in [0, 1] of the
        crop."""

    def score_map(self, prediction: Any) -> "ScoreMap | None":
        """The score map for drawing; None for a network that has none."""
        return None

    def inner_maps(self, prediction: Any) -> "Sequence[ScoreMap]":
        """Other maps of a prediction that pictures of training show beside the score map, with any values."""
        return ()

    @abstractmethod
    def step(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted loss terms, which the trainer only sums, and figures for the log. Both are scalars; figures are
        detached.

        A figure of some pairs only is a [2] tensor: its sum over these pairs, and their number.
        """

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a public file under this network's names; unknown keys keep their names."""
        return {self.rename(key): value for key, value in weights.items()}

    def publish(self, naming: str) -> dict[str, Tensor]:
        """The weights under the names of another code base, or of this one ("toolbox"). Raises InputError for an
        unknown naming."""
        choose("--naming", naming, ["toolbox"])
        return self.state_dict()

    def cast(self, dtype: torch.dtype) -> None:
        """Convert the weights to `dtype`, except those that are `precise`. Constants (windows, anchors, mean colours)
        stay float32. For tracking; training uses autocast."""
        self.dtype = dtype
        for key, value in self.state_dict(keep_vars=True).items():
            if value.is_floating_point() and not any(fnmatchcase(key, pattern) for pattern in self.precise):
                value.data = value.data.to(dtype)

    @classmethod
    def rename(cls, key: str) -> str:
        """The name that a key of a public file has here; an unknown key stays as it is."""
        return key

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a public file that training starts from, with this network's names and sizes."""
        return self.adopt(weights)

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """timm's weights of the backbone, under this network's names. Raises InputError where timm has none."""
        raise InputError("MODEL.PRETRAIN_FILE: timm has no weights of this network's backbone; give a file, or ''")

    def is_new(self, name: str, *, after_tracker: bool) -> bool:
        """Whether a parameter starts from scratch, given that training starts from weights of the backbone or
        (after_tracker) of a single-object tracker."""
        if after_tracker:
            return any(piece in name for piece in self.new_after_tracker)
        return not name.startswith("backbone.")

    def layers_behind(self, name: str) -> int:
        """The number of layers between a parameter of the backbone and the head, for layer-wise decay of the learning
        rate."""
        return 0

    def rate_factor(self, name: str) -> float:
        """The learning rate of a parameter of the backbone relative to BACKBONE_MULTIPLIER."""
        return 1.0

    def fresh_factor(self, name: str) -> float:
        """The learning rate of a parameter that starts from scratch relative to LR."""
        return 1.0

    def watched(self) -> dict[str, Tensor]:
        """Scalars of the network that the curves of a training show, such as learned weights: name -> one element."""
        return {}

    def distributions(self, prediction: Any) -> dict[str, Tensor]:
        """Values of a prediction whose histograms the curves of a training show, such as masks: name -> any shape."""
        return {}

    def add_lora(self, rank: int, alpha: float) -> None:
        """Train the attention weights at low rank (layers.transformer.lora). Raises InputError for a network without a
        ViT."""
        raise InputError("TRAIN.LORA_RANK: this network has no ViT; set it to 0")

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls this at the start of each epoch, for schedules inside a network."""

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device
