"""DaSiamRPN: SiamRPN that learns what only looks like its target, and looks for it when it is lost (ECCV 2018).

B targets, A anchors, n score cells on each side, K candidates, C channels, S side of the search region, pixels.
"""

from typing import Any, NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ..core.boxes import cxcywh_to_xyxy, iou_and_union
from ..core.errors import InputError
from ..layers.roi import match_features, normalize_features, suppress
from .distractors import Experience, Learning, discriminator, first_frame, similarity
from .long_term import LongTerm
from .siamese import TEMPLATE_SIZE, Proposals, context_side, take, to_crop_units
from .siamrpn import STRIDE, Kernels, SiamRPN, check_size, region_size


class Memory(NamedTuple):
    """What is kept of a target: its kernels, and what was learned of it since (see `Experience`)."""

    cls: Tensor  # [B, 2 A, C, 4, 4]
    loc: Tensor  # [B, 4 A, C, 4, 4]
    first: Tensor
    norm: Tensor
    target: Tensor
    weight: Tensor
    distractors: Tensor
    mass: Tensor
    frames: Tensor

    @property
    def known(self) -> Experience:
        """What was learned."""
        return Experience(*self[len(Kernels._fields) :])


class Prediction(NamedTuple):
    """What the network says about a search region, and what a candidate is compared with."""

    logits: Tensor  # [B, 2, A, n, n] background, target
    deltas: Tensor  # [B, 4, A, n, n]
    features: Tensor  # [B, C, f, f]
    tau: Tensor  # [B, C, 6, 6]


class Candidates(NamedTuple):
    """The proposals that the winner is chosen among, in order of rank."""

    place: Tensor  # [B, K] among all proposals
    valid: Tensor  # [B, K] bool; the first one always is
    features: Tensor  # [B, K, C, 6, 6] with a norm of 1
    winner: Tensor  # [B] among the candidates


class DaSiamRPN(SiamRPN):
    """SiamRPN with the modes of TEST.MODE."""

    def __init__(self, cfg: EasyDict):
        """Raises InputError for search regions that do not fit the trunk's stride, or each other."""
        super().__init__(cfg)
        test = cfg.TEST
        self.rules = test.DISTRACTOR
        self.aware = test.MODE == "distractor" or (test.MODE == "long_term" and test.LONG_TERM.DISTRACTOR)
        self.learning = Learning(self.rules.ALPHA, self.rules.ETA, self.rules.BETA == "series", self.rules.DECAY)
        self.long_term = build_long_term(test) if test.MODE == "long_term" else None
        self.lost_influence: float = test.LONG_TERM.WINDOW_INFLUENCE

    def embed(self, template: Tensor, box: Tensor | None = None) -> Memory:  # type: ignore[override]
        """template [B, 1, 3, 127, 127] -> Memory; the target is in the middle, whatever `box` says"""
        features = self.backbone(template[:, 0])
        return Memory(*self.rpn_head.make_kernels(features), *first_frame(features.float(), self.learning))

    def forward(self, memory: Memory, search: Tensor) -> Prediction:  # type: ignore[override]
        """search [B, 1, 3, S, S], S = 127 + 8 (n - 1) -> Prediction"""
        features = self.backbone(search[:, 0])
        logits, deltas = self.rpn_head(features, memory.cls, memory.loc)
        return Prediction(logits, deltas, features, discriminator(memory.known))

    def decode(self, prediction: Any, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The winner's box, its size smoothed; the last one while the target is lost and no score is high enough."""
        proposals = self.propose_for(prediction, prior)
        if not self.aware:
            return self._answer(prediction, proposals, proposals.ranks.argmax(1), prior)
        candidates = self.find_candidates(prediction, proposals)
        return self._answer(prediction, proposals, take(candidates.place, candidates.winner), prior)

    def conclude(self, memory: Any, prediction: Any, prior: Tensor) -> tuple[Tensor, Tensor, Any]:
        """`decode`, and the memory that has learned from the frame."""
        if not self.aware:
            return *self.decode(prediction, prior), memory
        proposals = self.propose_for(prediction, prior)
        candidates = self.find_candidates(prediction, proposals)
        answer = self._answer(prediction, proposals, take(candidates.place, candidates.winner), prior)
        return *answer, self.learn(memory, proposals, candidates, lost=self._is_lost(prediction))

    def propose_for(self, prediction: Any, prior: Tensor) -> Proposals:
        """Every anchor's box, judged; a lost target may be anywhere, so that the window hardly counts."""
        influence = self.lost_influence if self._is_lost(prediction) else None
        return self.propose(prediction, prior * region_size(prediction), influence)

    def find_candidates(self, prediction: Prediction, proposals: Proposals) -> Candidates:
        """The best proposals that do not overlap, and the one that looks most like what is known of the target."""
        rules = self.rules
        usable = proposals.boxes.isfinite().all(2) & proposals.ranks.isfinite() & (proposals.boxes[..., 2:] > 0).all(2)
        ranks = proposals.ranks.masked_fill(~usable, -torch.inf)
        best, order = ranks.topk(min(rules.PROPOSALS, ranks.shape[1]), dim=1)
        boxes = take(proposals.boxes, order)
        kept, valid = suppress(boxes, best, rules.NMS_IOU, min(rules.CANDIDATES, boxes.shape[1]))
        boxes, best = take(boxes, kept), take(best, kept)
        features = self.features_of(prediction.features, boxes, region_size(prediction))
        likeness = similarity(prediction.tau, features)
        gain = rules.GAIN if rules.USE == "roi" else 0.0
        ranks = ((1 - gain) * best + gain * (likeness + 1) / 2).masked_fill(~valid, -torch.inf)
        return Candidates(take(order, kept), valid, features, ranks.argmax(1))

    def features_of(self, features: Tensor, boxes: Tensor, size: int) -> Tensor:
        """What the template of each box would look like, its norm 1: [B, C, f, f], [B, K, 4] -> [B, K, C, 6, 6]."""
        scales = context_side(boxes[..., 2:]) / TEMPLATE_SIZE
        largest = self.rules.POOL == "max"
        return normalize_features(
            match_features(features.float(), boxes, scales, size, samples=self.rules.SAMPLES, largest=largest)
        )

    def learn(self, memory: Memory, proposals: Proposals, candidates: Candidates, *, lost: bool) -> Memory:
        """The memory after a frame; unchanged for targets that are lost or whose winner is not sure."""
        if lost:
            return memory
        rules, known = self.rules, memory.known
        scores = take(proposals.scores, candidates.place)
        likeness = similarity(known.first, candidates.features)
        chosen = self.choose_distractors(proposals, candidates, scores, likeness)
        foes = torch.einsum("bk,bkchw->bchw", chosen.to(scores.dtype), candidates.features)
        winner = candidates.winner
        sure = take(scores, winner) >= rules.UPDATE_SCORE
        sure &= take(likeness, winner) > rules.UPDATE_SIMILARITY
        target = take(candidates.features, winner)
        known = self.learning.add(known, target, foes, chosen.sum(1).to(scores.dtype), when=sure)
        kernels = memory.cls
        if rules.USE == "kernel":
            pattern = discriminator(known) * known.norm[:, None, None, None]
            made = self.rpn_head.make_class_kernels(pattern.to(self.rpn_head.template_cls_conv.weight.dtype))
            kernels = torch.where(sure[:, None, None, None, None], made, kernels)
        return Memory(kernels, memory.loc, *known)

    def choose_distractors(
        self, proposals: Proposals, candidates: Candidates, scores: Tensor, likeness: Tensor
    ) -> Tensor:
        """Candidates that look like the target and are not it: [B, K] bool. scores, likeness to the first template:
        [B, K]."""
        rules = self.rules
        corners = cxcywh_to_xyxy(take(proposals.boxes, candidates.place))
        overlap = iou_and_union(corners, take(corners, candidates.winner)[:, None])[0]
        foes = candidates.valid & (likeness > rules.SIMILARITY) & (scores > rules.SCORE) & (overlap < rules.IOU)
        foes = foes.scatter(1, candidates.winner[:, None], False)
        order = likeness.masked_fill(~foes, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
        return foes & (order < rules.MOST)

    def search_size(self, target: Any, frame: tuple[int, int]) -> int:
        """Larger and larger while the target is lost, up to twice the frame's longer side."""
        if self.long_term is None:
            return target.usual_size
        extent = torch.from_numpy(target.box[2:])
        cover = 2 * max(frame) * TEMPLATE_SIZE / float(context_side(extent))
        return self.long_term.next_size(target.search_size, target.usual_size, target.score, cover)

    def _is_lost(self, prediction: Any) -> bool:
        return self.long_term is not None and self.long_term.is_lost(region_size(prediction))

    def _answer(self, prediction: Any, proposals: Proposals, index: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Box [B, 4] in units of the crop and score [B] where proposal `index` [B] won."""
        size = region_size(prediction)
        box, score = self.choice.settle(proposals, index, prior * size)
        if self.long_term is not None and self._is_lost(prediction):
            still = torch.cat([torch.zeros_like(prior), prior * size], dim=1)
            box = torch.where((score >= self.long_term.low)[:, None], box, still)
        return to_crop_units(box, size), score


def build_long_term(test: EasyDict) -> LongTerm:
    """From TEST. Raises InputError where its sizes do not fit."""
    rules = test.LONG_TERM
    check_size("TEST.LONG_TERM.MAX_SIZE", rules.MAX_SIZE)
    usual = max(test.SEARCH_SIZE, test.SMALL_TARGET_SIZE if test.SMALL_TARGET_SHARE else 0)
    if usual >= rules.MAX_SIZE:
        raise InputError(f"TEST.LONG_TERM.MAX_SIZE: {rules.MAX_SIZE} is not above the usual {usual}; raise it")
    if rules.LOW > rules.HIGH:
        raise InputError(f"TEST.LONG_TERM.HIGH: {rules.HIGH} is below LOW {rules.LOW}; raise it")
    return LongTerm(rules.LOW, rules.HIGH, rules.STEP, rules.MAX_SIZE, usual + STRIDE, STRIDE)
