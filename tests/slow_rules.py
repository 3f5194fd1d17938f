"""The rules of the benchmarks once more, number by number in plain Python: slow, and independent of the package."""

import math


def distance(a, b) -> float:
    return math.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)


def relative(a, b) -> float:
    across, down = (b[0] + b[2] / 2 - a[0] - a[2] / 2) / a[2], (b[1] + b[3] / 2 - a[1] - a[3] / 2) / a[3]
    return math.hypot(across, down)


def shared(a, b) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inside = max(0, w) * max(0, h)
    return inside / (a[2] * a[3] + b[2] * b[3] - inside)


def broken(box) -> bool:
    return any(math.isnan(value) for value in box) or box[2] <= 0 or box[3] <= 0


def repaired(truth, result) -> list:
    rows = [list(truth[0])]
    for k, row in enumerate(result[1:], 1):
        before = list(result[0]) if k == 1 else rows[-1]
        rows.append(before if broken(row) else list(row))
    return rows


def share(values, hit) -> float:
    return sum(map(hit, values)) / len(values)


def ladder(overlaps, steps=20, *, area=False) -> float:
    """Success over steps + 1 thresholds: their mean, or the area under them."""
    curve = [share(overlaps, lambda value, t=step / steps: value > t) for step in range(steps + 1)]
    if not area:
        return sum(curve) / len(curve)
    return sum((a + b) / 2 / steps for a, b in zip(curve, curve[1:], strict=False))


def slow_best_of_two(truth, result):
    errors, overlaps = [], []
    for a, b, row in zip(truth.boxes, truth.boxes_infrared, result, strict=True):
        lost = any(math.isnan(value) for value in row)
        errors.append(math.inf if lost else min(distance(a, row), distance(b, row)))
        overlaps.append(0 if lost else max(shared(a, row), shared(b, row)))
    return errors, overlaps


def slow_gtot(truth, result):
    errors, overlaps = slow_best_of_two(truth, result)
    return {"PR": share(errors, lambda e: e < 5), "SR": ladder(overlaps, 50, area=True)}


def slow_rgbt234(truth, result):
    errors, overlaps = slow_best_of_two(truth, result)
    return {"MPR": share(errors, lambda e: e <= 20), "MSR": ladder(overlaps)}


def slow_rgbt210(truth, result):
    rows = [truth.boxes[0], *result[1:]]
    lost = [any(math.isnan(value) for value in row) for row in rows]
    errors = [math.inf if no else distance(a, b) for a, b, no in zip(truth.boxes, rows, lost, strict=True)]
    overlaps = [0 if no else shared(a, b) for a, b, no in zip(truth.boxes, rows, lost, strict=True)]
    return {"PR": share(errors, lambda e: e <= 20), "SR": ladder(overlaps)}


def slow_otb(truth, result):
    errors, relatives, overlaps = [], [], []
    for a, b in zip(truth.boxes, repaired(truth.boxes, result), strict=True):
        annotated = all(value > 0 for value in a)
        errors.append(distance(a, b) if annotated else -1)
        relatives.append(relative(a, b) if annotated else -1)
        overlaps.append(shared(a, b) if annotated else -1)
    return {
        "PR": share(errors, lambda e: e <= 20),
        "NPR": share(relatives, lambda e: e <= 0.2),
        "SR": ladder(overlaps),
    }


def slow_family(truth, result, *, center, normalized, absent):
    errors, relatives, overlaps = [], [], []
    for a, b, gone in zip(truth.boxes, repaired(truth.boxes, result), truth.absent, strict=True):
        usable = not broken(a) and not gone
        errors.append(distance(a, b) if usable else center)
        relatives.append(relative(a, b) if usable else absent if gone else normalized)
        overlaps.append(shared(a, b) if usable else -1)
    return {
        "PR": share(errors, lambda e: e <= 20),
        "NPR": share(relatives, lambda e: e <= 0.2),
        "SR": ladder(overlaps),
    }


def slow_lasot(truth, result):
    rows = zip(truth.boxes, repaired(truth.boxes, result), truth.absent, strict=True)
    pairs = [(a, b) for a, b, gone in rows if not gone and not broken(a)]
    return {
        "PR": share(pairs, lambda pair: distance(*pair) <= 20),
        "NPR": share(pairs, lambda pair: relative(*pair) <= 0.2),
        "SR": ladder([shared(*pair) for pair in pairs]),
    }


def clipped(box, size):
    x1, x2 = (min(max(value, 0), size[0]) for value in (box[0], box[0] + box[2]))
    y1, y2 = (min(max(value, 0), size[1]) for value in (box[1], box[1] + box[3]))
    return x1, y1, x2 - x1, y2 - y1


def slow_got10k(truth, result):
    overlaps = []
    for k in range(1, len(result)):
        if not truth.absent[k]:
            lost = any(math.isnan(value) for value in result[k])
            boxes = clipped(truth.boxes[k], truth.size), clipped(result[k], truth.size)
            overlaps.append(0 if lost else shared(*boxes))
    return {
        "AO": sum(overlaps) / len(overlaps),
        "SR50": share(overlaps, lambda o: o > 0.5),
        "SR75": share(overlaps, lambda o: o > 0.75),
    }


inf = math.inf
SLOW = {
    "gtot": slow_gtot,
    "rgbt234": slow_rgbt234,
    "rgbt210": slow_rgbt210,
    "vtuav": slow_rgbt234,
    "otb": slow_otb,
    "lasot": slow_lasot,
    "lasot_all": lambda truth, result: slow_family(truth, result, center=inf, normalized=-1, absent=inf),
    "pytracking": lambda truth, result: slow_family(truth, result, center=inf, normalized=-1, absent=-1),
    "uav": lambda truth, result: slow_family(truth, result, center=-1, normalized=-1, absent=-1),
    "got10k": slow_got10k,
}
