"""What every tracker's network can do. B targets, M modalities (visible; visible and infrared)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor, nn

from ..core.errors import InputError
from ..core.registry import choose

if TYPE_CHECKING:
    from .method import Method


#: What a training pair shows: the target again (in a video; in the same still image), or in its place another object
#: of its category, or one of another category (DaSiamRPN, ECCV 2018).
PAIR_KINDS = ("video", "still", "same_category", "other_category")


class PairBatch(NamedTuple):
    """Training pairs. Images are normalised before they reach a network; boxes are xywh in units of their crop."""

    template: Tensor  # [B, M, 3, Sz, Sz]
    template_box: Tensor  # [B, 4]
    search: Tensor  # [B, M, 3, Sx, Sx]
    search_box: Tensor  # [B, 4] of the target or, in a negative pair, of the object that is not it
    # For trackers that learn from negative pairs. None: every pair is positive and nothing else is known.
    positive: Tensor | None = None  # [B] bool
    others: Tensor | None = None  # [B, K, 4] other objects in the search region, NaN where there are fewer
    kind: Tensor | None = None  # [B] int64, which of `PAIR_KINDS`

    @property
    def size(self) -> int:
        """B."""
        return len(self.search)

    def apply(self, change: Callable[[Tensor], Tensor]) -> "PairBatch":
        """The batch with every tensor changed; what is None stays so."""
        return PairBatch._make(part if part is None else change(part) for part in self)

    def normalised(self, normalize: Callable[[Tensor], Tensor]) -> "PairBatch":
        """The batch with images as the network takes them."""
        return self._replace(template=normalize(self.template), search=normalize(self.search))


class ScoreMap(NamedTuple):
    """How likely the target's centre is where in the search region."""

    scores: Tensor  # [B, n, n] in [0, 1]
    first: float  # where the centre of the first column and row lies, in crop units
    step: float  # from one to the next


class Network(nn.Module):
    """Weights and arithmetic that find a target again. It knows no setting of tracking and keeps nothing about any
    target: the first are a `Method`'s, the second is what `embed` returns."""

    modalities: int = 2
    #: The method that tracks with this network.
    method_class: ClassVar[type["Method"]]
    #: Patterns of public checkpoint keys that never reach an output, and are therefore not part of this network.
    dropped_keys: Sequence[str] = ()
    #: Patterns of keys that stay float32 when the network computes in fewer digits: where those would reach the box.
    precise: Sequence[str] = ()
    #: Pieces of keys: weights that have all of them are recognised as this network's (lib.models.weights).
    marks: Sequence[str] = ()
    #: Pieces of the names of parameters that start from scratch where training starts from a single-object tracker.
    new_after_tracker: Sequence[str] = ()
    backbone_key = "MODEL.BACKBONE"  # the key that says which weights fit the backbone, for error messages
    training_crops = "jittered"  # how training cuts its pairs: a name of lib.train.data.loader.TRAINING_CROPS

    normalize: nn.Module  # [B, M, 3, S, S] uint8 RGB -> float, what the other methods take
    dtype: torch.dtype = torch.float32  # of the images that `embed` and `forward` take

    @abstractmethod
    def embed(self, template: Tensor, box: Tensor | None = None) -> Any:
        """All that can be computed about the targets once: a tree of tensors with leading dimension B.

        template: [B, M, 3, Sz, Sz] normalised; box: [B, 4] cxcywh in units of the template, None: centred, as cut.
        """

    @abstractmethod
    def forward(self, memory: Any, search: Tensor) -> Any:
        """search [B, M, 3, Sx, Sx] normalised -> Prediction"""

    @abstractmethod
    def read(self, prediction: Any) -> Tensor:
        """The boxes that the network itself finds most likely, whatever tracking makes of them: [B, 4] cxcywh in
        [0, 1] of the crop."""

    def score_map(self, prediction: Any) -> "ScoreMap | None":
        """What pictures of tracking show: how likely the target is where; None for a network that makes no map."""
        return None

    @abstractmethod
    def step(self, batch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted loss terms (the trainer only sums them), and figures to watch; scalars, the latter detached.

        A figure that concerns some pairs only is a [2] tensor: its sum over them, and how many they are.
        """

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a public file under this network's names; what is unknown stays as it is."""
        return dict(weights)

    def publish(self, naming: str) -> dict[str, Tensor]:
        """The weights under the names of another code; "toolbox" are this one's. Raises InputError for unknown ones."""
        choose("--naming", naming, ["toolbox"])
        return self.state_dict()

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in `dtype` from now on: all that is saved but what is `precise`, once. Constants (windows, anchors,
        mean colours) keep their digits. For tracking; training has autocast."""
        self.dtype = dtype
        for key, value in self.state_dict(keep_vars=True).items():
            if value.is_floating_point() and not any(fnmatchcase(key, pattern) for pattern in self.precise):
                value.data = value.data.to(dtype)

    @classmethod
    def rename(cls, key: str) -> str:
        """A key of a public file under this network's name; what is unknown stays as it is."""
        return key

    def fit(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a public file to start training from, under this network's names and in its sizes."""
        return self.adopt(weights)

    def timm_weights(self, cfg: EasyDict) -> dict[str, Tensor]:
        """timm's own weights of the backbone, under this network's names. Raises InputError where timm has none."""
        raise InputError("MODEL.PRETRAIN_FILE: timm has no weights of this network's backbone; give a file, or ''")

    def is_new(self, name: str, *, after_tracker: bool) -> bool:
        """Whether a parameter starts from scratch: where training starts from weights of the backbone, or
        (after_tracker) of a single-object tracker."""
        if after_tracker:
            return any(piece in name for piece in self.new_after_tracker)
        return not name.startswith("backbone.")

    def layers_behind(self, name: str) -> int:
        """How many layers lie between a parameter of the backbone and the head, for rates that fall layer by layer."""
        return 0

    def add_lora(self, rank: int, alpha: float) -> None:
        """Let attention weights learn at low rank (lib.layers.lora). Raises InputError where there is no ViT."""
        raise InputError("TRAIN.LORA_RANK: this network has no ViT; set it to 0")

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of each training epoch, for schedules inside a network."""

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
