"""The Markdown page of `benchmark gpu`: a table for each kind of step, and what did not succeed."""

from collections.abc import Callable
from collections.abc import Sequence as Many
from statistics import median
from typing import Any

from ..core.measure.benchmark import machine_words
from ..core.measure.steps import DONE, FAILED, STATES, STOPPED, Outcome
from ..core.table import Table, format_markdown
from ..test.benchmarks.track import split

Rows = list[list[str]]


def write_page(outcomes: Many[Outcome], *, rehearses: bool = False) -> str:
    """The page. rehearses: whether networks are narrow."""
    done = [outcome for outcome in outcomes if outcome.state == DONE]
    rates: dict[str, Any] = next((one.answer["speeds"] for one in done if one.step.kind == "device"), {})
    parts = [
        "# A rehearsal on a processor\n\n" + _REHEARSAL if rehearses else "# Measured on a GPU",
        _summary(outcomes),
    ]
    for kind, make in TABLES.items():
        own = [outcome for outcome in done if outcome.step.kind == kind]
        parts += [format_markdown(make(own, rates))] if own else []
    missing = [outcome for outcome in outcomes if outcome.state != DONE]
    rows = [["step", "state", "s", "why"], *([one.step.name, one.state, f"{one.seconds:.0f}", _why(one)]
                                             for one in missing)]  # fmt: skip
    notes = ("Traceback and further lines: results.json and logs/.",)
    parts += [format_markdown(Table("Steps without a result", rows, notes))] if missing else []
    return "\n\n".join(parts) + "\n"


def device_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """What the device can do."""
    answer = outcomes[0].answer
    rows = [["precision", "product, TFLOP/s", "copy, GB/s"]]
    for name, speed in answer["speeds"].items():
        figures = speed["square_operations_per_s"] / 1e12, speed["copy_bytes_per_s"] / 1e9
        rows.append([name, *(f"{figure:.4g}" for figure in figures)])
    software = ", ".join(f"{name} {version}" for name, version in answer["software"].items() if version)
    return Table("The device alone", rows, (f"{machine_words(answer['machine'])}, {machine_words(answer['device'])}.",
                                            f"{software}."))  # fmt: skip


def golden_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """Deviations from the public models' numbers."""
    rows = [["public model", "largest deviation", "at", "with TF32 convolutions"]]
    for one in outcomes:
        worst, tf32 = one.answer["worst"], one.answer.get("tf32")
        rows.append([one.step.job["case"], f"{worst:.2g}", one.answer["at"], f"{tf32:.2g}" if tf32 else ""])
    notes = ("In units of what the tests allow on a CPU (1e-4 of the largest value for most): up to 1 is right.",)
    return Table("Outputs of the public models", rows, notes)


def modes_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """Boxes of other ways to compute."""
    rows = [["network", "way", "equal boxes", "1 - IoU: mean", "median", "largest", "largest, pixels"]]
    for one in outcomes:
        for mode, facts in one.answer["modes"].items():
            start = [_network(one), mode]
            if "error" in facts:
                rows.append([*start, "", "", "", "", _last(facts["error"])])
                continue
            figures = [f"{facts[key]:.2g}" for key in ("mean", "median", "most", "pixels")]
            rows.append([*start, f"{facts['equal']} of {facts['boxes']}", *figures])
    targets, steps = (outcomes[0].answer[key] for key in ("targets", "steps"))
    notes = (f"{targets} targets in one batch, {steps} frames each, against every target alone in fp32 with OpenCV's "
             "crops; one step from the same place, in every frame.",)  # fmt: skip
    return Table("Boxes of every way to compute", rows, notes)


def passes_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """Latency and throughput."""
    rows = [["network", "way", "batch", "ms", "frames/s", "share of the product rate", "beside its products",
             "GPU MiB", "first pass, s"]]  # fmt: skip
    for one in outcomes:
        way = f"{one.step.job['precision']}{' compiled' * one.step.job['compiled']}"
        rate = rates.get(one.step.job["precision"], one.answer)["square_operations_per_s"]
        clock = "pass_core_s" if "threads" in one.answer["device"] else "pass_s"
        for batch, facts in one.answer["batches"].items():
            seconds, products = median(facts["pass_s"]), median(facts["products_s"])
            share = facts["operations"] / median(facts[clock]) / rate
            rows.append([_network(one), way, batch, f"{1e3 * seconds:.2f}", f"{int(batch) / seconds:.1f}",
                         f"{share:.1%}", f"{seconds / products:.2f}", _gpu_mib(facts),
                         f"{facts['first_s']:.1f}"])  # fmt: skip
    return Table("A forward pass on search regions", rows, ("Medians. Product rate: of the device alone, above.",))


def tracking_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """Files to files."""
    rows = [["way", "frames/s", "network", "learning", "first frames", "crops", "waiting for frames", "rest",
             "peak MiB", "GPU MiB"]]  # fmt: skip
    for one in outcomes:
        facts, whole = one.answer, one.answer["track_s"]
        texts = [f"{share:.1%}" for share in split(facts | {"by_core": False})["shares"].values()]
        memory = [f"{facts['peak_mib']:.0f}", _gpu_mib(facts)]
        rows.append([one.step.name.removeprefix("track "), f"{facts['frames'] / whole:.1f}", *texts, *memory])
    return Table("Tracking from JPEG files to result files", rows)


def training_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """Training steps."""
    rows = [["", "pairs/s", "step s", "first step s", "peak MiB", "GPU MiB", "GPU busy"]]
    for one in outcomes:
        facts, seconds = one.answer, median(one.answer["step_s"])
        busy = facts.get("gpu_utilisation")
        rows.append([one.step.name.removeprefix("train "), f"{one.step.job['batch'] / seconds:.1f}", f"{seconds:.3f}",
                     f"{facts['first_s']:.1f}", f"{facts['peak_mib']:.0f}", _gpu_mib(facts),
                     "" if busy is None else f"{busy:.0%}"])  # fmt: skip
    return Table(f"A training step: {_network(outcomes[0])}, {outcomes[0].step.job['batch']} pairs", rows)


def providers_table(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
    """ONNX Runtime on the CPU, by CUDA, by TensorRT."""
    rows = [
        ["network", "provider", "equal boxes", "largest 1 - IoU", "largest, pixels", "ms a frame", "first frame, s"]
    ]
    for one in outcomes:
        for name, facts in one.answer["providers"].items():
            texts = [facts.get("error", ""), "", "", "", ""]
            if not texts[0]:
                texts = [f"{facts['equal']} of {facts['boxes']}", f"{facts['most']:.2g}", f"{facts['pixels']:.2g}",
                         f"{1e3 * median(facts['frame_s']):.2f}", f"{facts['first_s']:.1f}"]  # fmt: skip
            rows.append([_network(one), name, *texts])
    notes = ("By deploy/onnx_tracking, crops included; one step from where the CPU is. First frame: with loading.",)
    return Table("ONNX Runtime's providers", rows, notes)


def facts_table(title: str, **words: str) -> Callable[[Many[Outcome], dict[str, Any]], Table]:
    """A table of whatever a step answers, empty values left out. words: what keys of the answer are called."""

    def make(outcomes: Many[Outcome], rates: dict[str, Any]) -> Table:
        rows = [["", "value"]]
        for one in outcomes:
            rows += [[words.get(key, key.replace("_", " ")), f"{value:.4g}" if isinstance(value, float) else str(value)]
                     for key, value in one.answer.items() if value != {}]  # fmt: skip
        return Table(title, rows)

    return make


#: Kind of step -> its table, in the order of the page
TABLES: dict[str, Callable[[Many[Outcome], dict[str, Any]], Table]] = {
    "device": device_table,
    "golden": golden_table,
    "modes": modes_table,
    "passes": passes_table,
    "tracking": tracking_table,
    "training": training_table,
    "onnx": providers_table,
    "exchange": facts_table(
        "Exchange between processes: differences relative to the largest value",
        ranks="processes",
        gradients="exchanged gradients, from the mean of each process's own: about 0 is right",
        buffers="running statistics, likewise",
        differ="gradients of two processes, from each other: above 0, or nothing was exchanged",
        not_possible="numbers of processes that were refused",
    ),
    "resume": facts_table(
        "A training run that was killed and went on",
        seconds="seconds until it was killed",
        difference="weights at its end, from those of a run that was not killed: 0 is right on a processor",
        last="last checkpoint",
    ),
    "reference": facts_table("The public code beside this one"),
    "frames": facts_table("Frames for tracking", frames="pairs of images", mib="MiB"),
}

_REHEARSAL = (
    "Networks are narrow and their weights random: times mean nothing here. That the steps run, and that all ways to "
    "compute agree, does."
)


def _summary(outcomes: Many[Outcome]) -> str:
    """How many steps there are of each state, and which public models are not right."""
    counts = {state: sum(one.state == state for one in outcomes) for state in STATES}
    words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    said = [f"{len(outcomes)} steps: {words}; {sum(one.seconds for one in outcomes):.0f} s of steps."]
    deviations = {one.step.job["case"]: one.answer["worst"] for one in outcomes
                  if one.step.kind == "golden" and one.state == DONE}  # fmt: skip
    wrong = ", ".join(f"{name} ({worst:.2g})" for name, worst in deviations.items() if not worst <= 1)
    if deviations:
        verdict = f"beyond what is allowed: {wrong}" if wrong else "all right"
        said.append(f"Public models: {len(deviations)} compared, {verdict}.")
    return " ".join(said)


def _why(outcome: Outcome) -> str:
    """Why a step has no result."""
    if outcome.state == FAILED:
        return _last(outcome.error)
    own = outcome.state == STOPPED and outcome.seconds >= outcome.step.seconds
    return f"its {outcome.step.seconds:.0f} s were over" if own else "the minutes were over"


def _network(outcome: Outcome) -> str:
    return f"{outcome.step.job['script']}/{outcome.step.job['config']}"


def _gpu_mib(facts: dict[str, Any]) -> str:
    """The peak memory of the GPU, "" on a CPU."""
    return f"{facts['gpu_peak_mib']:.0f}" if "gpu_peak_mib" in facts else ""


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
