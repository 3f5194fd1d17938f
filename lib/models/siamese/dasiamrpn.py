"""DaSiamRPN: SiamRPN that learns distractors online and searches a growing region for a lost target (ECCV 2018).

B targets, A anchors, n score cells on each side, K candidates, C channels, S side of the search region, pixels.
"""

from typing import NamedTuple

import torch
from easydict import EasyDict
from torch import Tensor

from ...core.boxes import cxcywh_to_xyxy, iou_and_union
from ...core.view import EXEMPLAR
from ...layers.siamese.roi import match_features, normalize_features, suppress
from ..method import Answer
from .distractors import FeatureSums, LearningRule, discriminator, first_frame, similarity
from .long_term import build_long_term
from .network import Proposals, context_sides, gather_rows
from .siamrpn import Kernels, SiamRPN, SiamRPNMethod


class Template(NamedTuple):
    """What DaSiamRPN's network computes from a template."""

    cls: Tensor  # [B, 2 A, C, 4, 4] kernels
    loc: Tensor  # [B, 4 A, C, 4, 4]
    features: Tensor  # [B, C, 6, 6]


class Memory(NamedTuple):
    """What DaSiamRPN keeps about a target."""

    kernels: Kernels
    known: FeatureSums  # what was learned about the target while tracking


class Prediction(NamedTuple):
    """DaSiamRPN's output for a search region."""

    logits: Tensor  # [B, 2, A, n, n] background, target
    deltas: Tensor  # [B, 4, A, n, n] corrections of the anchors
    features: Tensor  # [B, C, f, f]


class CandidateProposals(NamedTuple):
    """The best proposals after suppression, in order of rank; one of them wins."""

    place: Tensor  # [B, K] index among all proposals
    valid: Tensor  # [B, K] bool; the first one always is
    features: Tensor  # [B, K, C, 6, 6] with a norm of 1
    winner: Tensor  # [B] index among the candidates


class DaSiamRPNMethod(SiamRPNMethod):
    """The modes of TEST.MODE: plain, distractor-aware, long-term."""

    network: "DaSiamRPN"

    def __init__(self, network: "DaSiamRPN", test: EasyDict):
        """Raises InputError for search regions that do not fit the trunk's stride, or each other."""
        super().__init__(network, test)
        self.rules = test.DISTRACTOR
        self.aware = test.MODE == "distractor" or (test.MODE == "long_term" and test.LONG_TERM.DISTRACTOR)
        self.learning = LearningRule(self.rules.ALPHA, self.rules.ETA, self.rules.BETA == "series", self.rules.DECAY)
        self.long_term = build_long_term(network, test) if test.MODE == "long_term" else None
        self.lost_influence = test.LONG_TERM.WINDOW_INFLUENCE

    def begin(self, pixels: Tensor, boxes: Tensor) -> Memory:
        """The template's kernels, and its features as the first ones that are learned."""
        template = self.network.embed(self.images(pixels))
        known = first_frame(template.features.float(), self.learning)
        return Memory(Kernels(template.cls, template.loc), known)

    def predict(self, memory: Memory, pixels: Tensor) -> Prediction:
        """The network's output."""
        return self.network(memory.kernels, self.images(pixels))

    def decide(self, memory: Memory, prediction: Prediction, pixels: Tensor, prior: Tensor) -> Answer:
        """The winner's box with a smoothed size. The last box stays while the target is lost and no score is high
        enough. The distractor-aware modes also learn from the frame."""
        if not self.aware:
            return super().decide(memory, prediction, pixels, prior)
        size = pixels.shape[-1]
        proposals = self.propose(prediction, prior[:, 0] * size, self.influence_in(size))
        candidates = self.find_candidates(prediction.features, discriminator(memory.known), proposals, size)
        index = gather_rows(candidates.place, candidates.winner)
        boxes, scores = self.choose(proposals, index, prior[:, 0], size)
        learned = memory if self.is_lost(size) else self.learn(memory, proposals, candidates)
        return self.answer(boxes, scores, learned, prediction)

    def merge_memory(self, memory: Memory, fresh: Memory) -> Memory:
        """Blends the kernels; what was learned stays."""
        return memory._replace(kernels=super().merge_memory(memory.kernels, fresh.kernels))

    def find_candidates(self, features: Tensor, tau: Tensor, proposals: Proposals, size: int) -> CandidateProposals:
        """The best proposals after non-maximum suppression, and the winner among them.

        features: [B, C, f, f] of a search region of `size` pixels; tau: [B, C, 6, 6] the discriminator of equation 4.
        """
        rules = self.rules
        usable = proposals.boxes.isfinite().all(2) & proposals.ranks.isfinite() & (proposals.boxes[..., 2:] > 0).all(2)
        ranks = proposals.ranks.masked_fill(~usable, -torch.inf)
        best, order = ranks.topk(min(rules.PROPOSALS, ranks.shape[1]), dim=1)
        boxes = gather_rows(proposals.boxes, order)
        kept, valid = suppress(boxes, best, rules.NMS_IOU, min(rules.CANDIDATES, boxes.shape[1]))
        boxes, best = gather_rows(boxes, kept), gather_rows(best, kept)
        found = self.features_of(features, boxes, size)
        likeness = similarity(tau, found)
        gain = rules.GAIN if rules.USE == "roi" else 0.0
        ranks = ((1 - gain) * best + gain * (likeness + 1) / 2).masked_fill(~valid, -torch.inf)
        return CandidateProposals(gather_rows(order, kept), valid, found, ranks.argmax(1))

    def features_of(self, features: Tensor, boxes: Tensor, size: int) -> Tensor:
        """The features of each box as if it were the template, with norm 1: [B, C, f, f], [B, K, 4] -> [B, K, C, 6,
        6]."""
        scales = context_sides(boxes[..., 2:]) / EXEMPLAR
        largest = self.rules.POOL == "max"
        options = {"samples": self.rules.SAMPLES, "largest": largest}
        return normalize_features(
            match_features(features.float(), boxes, scales, size, self.network.backbone, **options)
        )

    def learn(self, memory: Memory, proposals: Proposals, candidates: CandidateProposals) -> Memory:
        """The memory after a frame. It does not change for targets whose winner is uncertain."""
        rules, known = self.rules, memory.known
        scores = gather_rows(proposals.scores, candidates.place)
        likeness = similarity(known.first, candidates.features)
        chosen = self.choose_distractors(proposals, candidates, scores, likeness)
        foes = torch.einsum("bk,bkchw->bchw", chosen.to(scores.dtype), candidates.features)
        winner = candidates.winner
        sure = gather_rows(scores, winner) >= rules.UPDATE_SCORE
        sure &= gather_rows(likeness, winner) > rules.UPDATE_SIMILARITY
        target = gather_rows(candidates.features, winner)
        known = self.learning.add(known, target, foes, chosen.sum(1).to(scores.dtype), when=sure)
        kernels = memory.kernels
        if rules.USE == "kernel":
            pattern, head = discriminator(known) * known.norm[:, None, None, None], self.network.rpn_head
            made = head.make_class_kernels(pattern.to(head.template_cls_conv.weight.dtype))
            kernels = kernels._replace(cls=torch.where(sure[:, None, None, None, None], made, kernels.cls))
        return Memory(kernels, known)

    def choose_distractors(
        self, proposals: Proposals, candidates: CandidateProposals, scores: Tensor, likeness: Tensor
    ) -> Tensor:
        """The distractors: candidates that look like the target but lie elsewhere, [B, K] bool. scores and likeness
        (the similarity to the first template): [B, K]."""
        rules = self.rules
        corners = cxcywh_to_xyxy(gather_rows(proposals.boxes, candidates.place))
        overlap = iou_and_union(corners, gather_rows(corners, candidates.winner)[:, None])[0]
        foes = candidates.valid & (likeness > rules.SIMILARITY) & (scores > rules.SCORE) & (overlap < rules.IOU)
        foes = foes.scatter(1, candidates.winner[:, None], False)
        order = likeness.masked_fill(~foes, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
        return foes & (order < rules.MOST)


class DaSiamRPN(SiamRPN):
    """SiamRPN's network, which also returns its features."""

    method_class = DaSiamRPNMethod

    def embed(self, template: Tensor, box: Tensor | None = None) -> Template:
        """template [B, 1, 3, 127, 127] -> Template; `box` is not used: the target is in the middle"""
        features = self.backbone(template[:, 0])
        return Template(*self.rpn_head.make_kernels(features), features)

    def forward(self, memory: Kernels | Template, search: Tensor) -> Prediction:
        """search [B, 1, 3, S, S], S = 127 + 8 (n - 1) -> Prediction"""
        features = self.backbone(search[:, 0])
        logits, deltas = self.rpn_head(features, memory.cls, memory.loc)
        return Prediction(logits, deltas, features)
