"""The steps of `benchmark gpu`, the most valuable first: full networks on a GPU, narrow ones to rehearse on a CPU."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.measure.steps import Scratch, Step
from ..core.paths import ROOT

#: The networks that are measured, the most important first, and the weights that are here. Those that a version of the
#: toolbox lacks are left out.
NETWORKS = {
    "tbsi_track/vitb_256_tbsi_32x1_1e4_lasher_15ep_sot": "",
    "iimf_track/tiny": "iimf_tiny.safetensors",
    "tbsi_track/tbsi_vitb_256_32x4_4e4_lasher_15ep_in1k": "",
    "ostrack/vitb_256_mae_32x4_ep300": "",
    "iimf_lite/xs": "iimf_lite_xs.safetensors",
    "siamdma/siamdma": "",
}
PRETRAINED = ROOT / "pretrained_models"
LARGE, SMALL = list(NETWORKS)[:2]
#: Networks that learn each target while they track, and the public file of their weights: what is compiled, and timed
#: as a pass, is the network alone. Boxes are compared where the file is there: without it they are chance.
LEARNERS = {"dimp/superdimp": "super_dimp.pth.tar"}

#: Golden numbers of the public models, by their names in `tests/golden_device.py`
GOLDEN = ("iimf_sot", "fear_xs", "superdimp", "siamrpn_vot", "siamdma", "ostrack", "tbsi_in1k", "alpha_refine",
          "siammask", "rt_mdnet", "eco", "atom", "prdimp50", "dimp50", "siamrpnpp_r50", "iimf_in1k", "ostrack_ce",
          "siamrpnpp_alex", "siamrpn_big")  # fmt: skip
_GOLDEN_FIRST = 8  # so many before anything is timed
_GOLDEN_REHEARSED = ("fear_xs", "siamrpnpp_alex", "eco")
_GOLDEN_SCRIPT = ROOT / "tests" / "golden_device.py"

#: Of ONNX Runtime, and the script that uses them.
PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_DEPLOYED = ROOT / "deploy" / "track_onnx.py"

_NARROW_VIT = [
    "MODEL.BACKBONE.TYPE=vit_tiny_patch16_224", "MODEL.BACKBONE.EMBED_DIM=24", "MODEL.BACKBONE.NUM_HEADS=2",
    "MODEL.BACKBONE.DEPTH=4", "MODEL.HEAD.NUM_CHANNELS=16", "MODEL.PRETRAIN_FILE=''",
    *(f"{key}={side}" for side, keys in ((32, ("DATA.TEMPLATE.SIZE", "TEST.TEMPLATE_SIZE")),
                                         (64, ("DATA.SEARCH.SIZE", "TEST.SEARCH_SIZE"))) for key in keys),
]  # fmt: skip
#: Experiments folder -> changes that make a network narrow
NARROW = {
    "tbsi_track": [*_NARROW_VIT, "MODEL.BACKBONE.TBSI_LOC=[1,2]", "MODEL.BACKBONE.TBSI_MLP_RATIO=2.0"],
    "iimf_track": [*_NARROW_VIT, "MODEL.BACKBONE.TBSI_LOC=[1,2]", "MODEL.BACKBONE.TBSI_MLP_RATIO=2.0"],
    "ostrack": _NARROW_VIT,
}
#: The sides of the crops of the public code's recipe, which its side of the comparison uses.
PUBLIC_SIDES = ["DATA.TEMPLATE.SIZE=128", "TEST.TEMPLATE_SIZE=128", "DATA.SEARCH.SIZE=256", "TEST.SEARCH_SIZE=256"]
_STEP = ["TRAIN.COMPILE=false", "TRAIN.CHECKPOINT_BLOCKS=false", "TRAIN.GLOBAL_BATCH=0", "TRAIN.EMA_DECAY=0"]
_FP32, _BF16 = ["TRAIN.AMP=false"], ["TRAIN.AMP=true", "TRAIN.AMP_DTYPE=bfloat16"]
TRAINING = {
    "bf16": _BF16,
    "fp32": _FP32,
    "bf16 compiled": [*_BF16, "TRAIN.COMPILE=true"],
    "bf16 LoRA 16": [*_BF16, "TRAIN.LORA_RANK=16"],
}


@dataclass(frozen=True)
class Plan:
    """What the steps depend on."""

    device: str  # "cuda" or "cpu"
    scratch: Scratch
    golden: str = ""  # folder of golden values; "": tests/data
    reference: str = ""  # folder of the public IIMF code; "": none
    threads: int = 0

    @property
    def rehearses(self) -> bool:
        """Whether networks are narrow: everywhere but on a GPU."""
        return self.device != "cuda"

    def steps(self) -> list[Step]:
        """All steps."""
        return [
            Step("device", "lib.core.measure.device_job", self.job(), 60, kind="device"),
            *self.golden_steps(GOLDEN[:_GOLDEN_FIRST]),
            *self.modes([LARGE, SMALL]),
            *self.training_checks(),
            self.frames(),
            *self.passes([LARGE], ("bf16 compiled", "bf16", *(() if self.rehearses else ("fp32",)))),
            *self.training(("bf16", *(() if self.rehearses else ("fp32",)))),
            *self.tracking(LARGE),
            *self.passes([SMALL], ("bf16 compiled", "bf16")),
            *self.golden_steps(GOLDEN[_GOLDEN_FIRST:]),
            *self.reference_steps(),
            *self.training(("bf16 compiled", "bf16 LoRA 16")),
            *self.onnx_steps(),
            *self.modes(self.others()),
            *self.passes(self.others(), ("bf16 compiled", "bf16")),
            *self.modes(self.here(name for name, file in LEARNERS.items() if (PRETRAINED / file).is_file())),
            *self.passes(self.here(LEARNERS), ("bf16 compiled", "bf16", "fp32 compiled", "fp32")),
            *(step for network in self.here(LEARNERS) for step in self.tracking(network)),
            *self.passes([LARGE], ("fp16 compiled",)),
            *(self.modes([SMALL], "fp32 compiled") if self.rehearses else []),
        ]

    def job(self, network: str = "", *, checkpoint: bool = False, **known: Any) -> dict[str, Any]:
        """A job; of a network: with its configuration, narrow in a rehearsal."""
        given: dict[str, Any] = {"device": self.device, "threads": self.threads, "cache": str(self.scratch.compiled)}
        if network:
            script, _, config = network.partition("/")
            narrow = NARROW[script] if self.rehearses else []
            weights = {**NETWORKS, **LEARNERS}.get(network, "") if checkpoint and not narrow else ""
            path = str(PRETRAINED / weights) if weights else ""
            given |= {"script": script, "config": config, "set": list(narrow), "checkpoint": path}
        return given | known

    def others(self) -> list[str]:
        """The further networks that are here."""
        return self.here(network for network in NETWORKS if network not in (LARGE, SMALL))

    def here(self, networks: Iterable[str]) -> list[str]:
        """Those of networks that this version has; none in a rehearsal."""
        known = [network for network in networks if (ROOT / "experiments" / f"{network}.yaml").is_file()]
        return [] if self.rehearses else known

    def golden_steps(self, names: Iterable[str]) -> Iterator[Step]:
        """Outputs of the public models; none where there are no tests, as in an installed package."""
        if _GOLDEN_SCRIPT.is_file():
            for name in names if not self.rehearses else [name for name in names if name in _GOLDEN_REHEARSED]:
                job = self.job(case=name, golden=self.golden)
                yield Step(f"golden {name}", str(_GOLDEN_SCRIPT), job, 60, alone=False, kind="golden")

    def modes(self, networks: list[str], *given: str) -> Iterator[Step]:
        """Ways to compute against the plain one, in boxes: those that are given, else all. What is compiled here is
        compiled once for all steps."""
        for network in networks:
            kinds = list(given) or ["fp32", "bf16", "fp32 fast crops"]
            if not (given or self.rehearses):
                kinds += ["fp16", "bf16 fast crops", "bf16 compiled", "fp32 compiled"]
            data = str(ROOT / "docs" / "demo_sequence")
            seconds = 40 if given else 150  # given in a rehearsal: compilation on a CPU
            counts: dict[str, Any] = {"frames": 4, "batch": 2} if self.rehearses else {"frames": 20, "batch": 8}
            job = self.job(network, checkpoint=True, modes=kinds, data_dir=data, **counts)
            name = " ".join(["modes", network, *given])
            yield Step(name, "lib.test.benchmarks.modes_job", job, seconds, alone=False, kind="modes")

    def training_checks(self) -> Iterator[Step]:
        """Two processes on one GPU, or one where NCCL refuses two; a run that is killed."""
        small = self.job(SMALL)
        small["set"] = [*NARROW["iimf_track"], *_FP32]
        job = {**small, "batch": 2, "ranks": [2, 1], "seconds": 60}
        yield Step("exchange", "lib.train.benchmarks.exchange_job", job, 100, alone=False, kind="exchange")
        data = ["DATA.TRAIN.SAMPLE_PER_EPOCH=24", "TRAIN.BATCH_SIZE=2", "TRAIN.EPOCH=3", "TRAIN.NUM_WORKER=1",
                "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]"]  # fmt: skip
        job = {**small, "set": [*small["set"], *data], "folder": str(self.scratch.files / "resume")}
        yield Step("resume", "lib.train.benchmarks.resume_job", job, 100, alone=False, kind="resume")

    def frames(self) -> Step:
        """JPEG files for tracking."""
        counts: dict[str, Any] = {"sequences": 1, "frames": 6} if self.rehearses else {"sequences": 8, "frames": 40}
        job = self.job(folder=str(self.scratch.files / "frames"), width=640, height=480, **counts)
        return Step("frames", "lib.train.benchmarks.frames_job", job, 100, alone=False, kind="frames")

    def passes(self, networks: list[str], variants: tuple[str, ...]) -> Iterator[Step]:
        """Latency and throughput of a forward pass."""
        for network in networks:
            for variant in variants:
                precision, _, compiled = variant.partition(" ")
                if compiled and self.rehearses:
                    continue
                batches = [1, 2] if self.rehearses else [1, 8] if compiled else [1, 8, 32]
                known: dict[str, Any] = {"precision": precision, "compiled": bool(compiled), "batches": batches}
                job = self.job(network, passes=3 if self.rehearses else 20, **known)
                name = f"pass {network}, {variant}"
                yield Step(name, "lib.test.benchmarks.model_job", job, 90, kind="passes")

    def tracking(self, network: str) -> Iterator[Step]:
        """From JPEG files to result files."""
        ways = [("bf16", False, "fast", batch) for batch in (1, 8, 32)]
        ways += [("fp32", False, "exact", batch) for batch in (1, 8, 32)]
        ways += [("bf16", True, "fast", batch) for batch in (1, 8)]
        if self.rehearses:
            ways = [("bf16", False, "fast", 2)]
        elif network in LEARNERS:
            ways = [("fp32", False, "exact", 1), ("bf16", False, "fast", 1), ("bf16", True, "fast", 1)]
        for precision, compiled, crops, batch in ways:
            data = str(self.scratch.files / "frames" / "testingset")
            known: dict[str, Any] = {"precision": precision, "compiled": compiled, "crops": crops, "batch": batch}
            copies = max(1, batch // 4)
            job = self.job(network, backend="torch", data_dir=data, frames=0, copies=copies, **known)
            name = f"track {network} {precision}{' compiled' * compiled} {crops} crops, batch {batch}"
            yield Step(name, "lib.test.benchmarks.track_job", job, 90, kind="tracking")

    def training(self, variants: tuple[str, ...]) -> Iterator[Step]:
        """A training step."""
        for variant in variants:
            if self.rehearses and "compiled" in variant:
                continue
            job = self.job(LARGE, batch=2 if self.rehearses else 32, steps=3 if self.rehearses else 10)
            job["set"] = [*job["set"], *_STEP, *TRAINING[variant]]
            yield Step(f"train {variant}", "lib.train.benchmarks.step_job", job, 150, kind="training")

    def reference_steps(self) -> Iterator[Step]:
        """The public code beside this one."""
        if self.reference:
            folder = str(Path(self.reference).resolve())
            job = self.job(LARGE, reference=folder, folder=str(self.scratch.files / "reference"), passes=20)
            job["set"] = [*job["set"], *PUBLIC_SIDES]
            yield Step("reference", "lib.test.benchmarks.reference_job", job, 120, kind="reference")

    def onnx_steps(self) -> Iterator[Step]:
        """ONNX Runtime's providers; none in an installed package, which lacks the script."""
        if _DEPLOYED.is_file():
            counts = {"frames": 4 if self.rehearses else 20, "data_dir": str(ROOT / "docs" / "demo_sequence")}
            folder = str(self.scratch.files / "onnx")
            job = self.job(SMALL, checkpoint=True, providers=PROVIDERS, folder=folder, **counts)
            yield Step(f"onnx {SMALL}", "lib.test.benchmarks.providers_job", job, 150, kind="onnx")
