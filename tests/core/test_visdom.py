"""Windows of a visdom server: what is sent, and that a run never waits for it."""

import base64
import json
import logging
import subprocess
import sys
import threading
import time
import urllib.request

import cv2
import numpy as np
import pytest
from fake_visdom import FakeVisdom, fake_visdom, unused_port

from lib.core.errors import InputError
from lib.core.visdom import Visdom, parse_server


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_curves_pictures_maps_and_words():
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :, 0] = 200  # red
    with fake_visdom() as fake:
        shown = Visdom(fake.address, "a run/1")
        for step in range(3):
            shown.add_point("loss", "train", step, step / 2)
        shown.add_point("loss", "val", 2, 7.0)
        shown.add_point("loss", "val", 3, float("nan"))
        shown.show_image("view", lambda: pixels, "step 2")
        shown.show_map("scores", np.array([[0.123456, 1.0], [np.nan, 0.5]]))
        shown.show_histogram("weights", np.array([[0.0, 0.0, 3.0], [np.nan, 1.0, 0.0]]), "step 2")
        shown.show_text("info", "a <b> & c\nd")
        shown.close()
    assert fake.posts[0] == ("/env/a_run_1", {"eid": "a_run_1"})
    assert {content["eid"] for _, content in fake.posts} == {"a_run_1"}
    assert fake.windows() == ["loss", "view", "scores", "weights", "info"] and len(fake.posts) == 1 + 4 + 4
    points = [(one["name"], one["data"][0]["x"], one["data"][0]["y"]) for one in fake.of("loss")]
    assert points == [("train", [0], [0.0]), ("train", [1], [0.5]), ("train", [2], [1.0]), ("val", [2], [7.0])]
    assert all(one["append"] and one["data"][0]["type"] == "scatter" for one in fake.of("loss"))
    (view,) = (one["data"][0]["content"] for one in fake.of("view"))
    kind, _, code = view["src"].partition(",")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/jpeg;base64" and view["caption"] == "step 2" and image.shape == pixels.shape
    np.testing.assert_allclose(image[10, 10], (0, 0, 200), atol=3)  # blue, green, red
    (heat,) = (one["data"][0] for one in fake.of("scores"))
    assert heat["z"] == [[0.1235, 1.0], [0.0, 0.5]] and (heat["zmin"], heat["zmax"]) == (0, 1)
    assert fake.of("scores")[0]["layout"]["yaxis"]["autorange"] == "reversed"
    (bars,) = (one["data"][0] for one in fake.of("weights"))
    assert (bars["type"], len(bars["x"]), sum(bars["y"])) == ("bar", 30, 5) and bars["y"][0] == 3 and bars["y"][-1] == 1
    assert bars["x"][0] == 0.05 and bars["x"][-1] == 2.95  # the middle of a bar
    assert fake.of("info")[0]["data"][0]["content"] == "a &lt;b> &amp; c<br>d"


@pytest.mark.parametrize(
    ("address", "expected"),
    [("gpu1:9000", ("gpu1", 9000)), ("gpu1", ("gpu1", 8097)), ("http://10.0.0.1:80/", ("10.0.0.1", 80)),
     ("[::1]:8097", ("::1", 8097))],
)  # fmt: skip
def test_addresses(address, expected):
    assert parse_server(address) == expected


@pytest.mark.parametrize("address", ["", ":8097", "host:port", "host:99999", "https://host:1", "a b:1/x", "u@h:1"])
def test_an_address_that_is_none_is_one_line(address):
    with pytest.raises(InputError, match="expected HOST:PORT, for example localhost:8097"):
        parse_server(address)


def test_without_a_server_one_line_is_said_and_nothing_waits(caplog):
    shown = Visdom(f"127.0.0.1:{unused_port()}", "run")
    begin = time.monotonic()
    for step in range(2000):
        shown.add_point("loss", "train", step, 1.0)
    shown.close()
    assert time.monotonic() - begin < 2
    assert not shown.ready
    (line,) = (text for text in warnings(caplog) if "left out" not in text)
    assert "Connection refused; the run goes on without it (start a server with python -m visdom.server" in line


def test_a_server_that_dies_and_comes_back(caplog):
    fake = FakeVisdom()
    shown = Visdom(fake.address, "run", retry=0.2)
    shown.add_point("loss", "train", 0, 1.0)
    fake.wait(2)
    fake.stop()
    for step in range(1, 20):
        shown.add_point("loss", "train", step, 1.0)
        time.sleep(0.005)
    end = time.monotonic() + 5
    while not warnings(caplog) and time.monotonic() < end:
        time.sleep(0.01)
    assert len(warnings(caplog)) == 1
    again = FakeVisdom(fake.port)
    end = time.monotonic() + 10
    while not again.posts and time.monotonic() < end:
        shown.add_point("loss", "train", 99, 2.0)
        time.sleep(0.05)
    shown.close()
    again.stop()
    assert again.posts[0] == ("/env/run", {"eid": "run"}) and again.of("loss")[0]["data"][0]["x"] == [99]
    first, second = warnings(caplog)
    assert "the run goes on without it" in first and second.endswith("answers again")


def test_a_server_that_was_begun_anew_between_two_messages_gets_the_second(caplog):
    fake = FakeVisdom()
    shown = Visdom(fake.address, "run")
    shown.add_point("loss", "train", 0, 1.0)
    fake.wait(2)
    fake.stop()
    again = FakeVisdom(fake.port)
    shown.add_point("loss", "train", 1, 2.0)
    again.wait(2)
    shown.close()
    again.stop()
    assert [path for path, _ in again.posts] == ["/env/run", "/update"] and warnings(caplog) == []


def test_a_server_that_hangs_costs_no_time(caplog):
    with fake_visdom() as fake:
        fake.delay = 3.0
        shown = Visdom(fake.address, "run", timeout=0.2, waiting=8)
        begin = time.monotonic()
        for step in range(1000):
            shown.add_point("loss", "train", step, 1.0)
        assert time.monotonic() - begin < 0.2 and not shown.ready
        shown.close(1.0)
        assert time.monotonic() - begin < 2.0
    assert "no answer within 0.2 s" in warnings(caplog)[0] and len(warnings(caplog)) == 2
    assert shown.left_out > 900 and f"{shown.left_out} updates were left out" in warnings(caplog)[1]


def test_another_kind_of_server_is_named(caplog):
    with fake_visdom() as fake:
        fake.status = 404
        shown = Visdom(fake.address, "run")
        shown.show_text("info", "x")
        shown.close()
    assert "status 404; is this a visdom server without a login?" in warnings(caplog)[0]


def test_the_thread_ends_with_the_run():
    with fake_visdom() as fake:
        shown = Visdom(fake.address, "run")
        shown.close()
    assert not any(thread.name == "visdom" for thread in threading.enumerate())


_SERVE = (
    "import sys; from visdom.server.run_server import start_server; "
    "start_server(int(sys.argv[1]), base_url='', env_path=sys.argv[2])"
)


def ask(port: int, content: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/win_data", content.encode(), timeout=5) as answer:
        return answer.read()


def test_visdom_itself(tmp_path):
    """The package's own server keeps what was sent (without the scripts that it downloads for browsers)."""
    pytest.importorskip("visdom")
    port = unused_port()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(port), str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        shown = Visdom(f"127.0.0.1:{port}", "run", timeout=10, retry=0.2)
        end = time.monotonic() + 60
        while shown._down or shown._connection is None:
            assert time.monotonic() < end
            shown.show_text("info", "here")
            time.sleep(0.2)
        for step, trace in ((1, "train"), (2, "train"), (2, "val")):
            shown.add_point("loss", trace, step, step / 4)
        shown.show_image("view", lambda: np.full((8, 8, 3), 99, np.uint8))
        shown.show_map("scores", np.eye(2))
        shown.show_histogram("weights", np.arange(9), "step 1")
        shown.close(10)
        kept = json.loads(ask(port, '{"eid": "run", "win": null}'))
        assert set(kept) == {"info", "loss", "view", "scores", "weights"}
        traces = {one["name"]: (one["x"], one["y"]) for one in kept["loss"]["content"]["data"]}
        assert traces == {"train": ([1, 2], [0.25, 0.5]), "val": ([2], [0.5])}
        assert kept["view"]["type"] == "image" and kept["view"]["content"]["src"].startswith("data:image/jpeg")
        assert kept["scores"]["content"]["data"][0]["z"] == [[1, 0], [0, 1]] and kept["info"]["content"] == "here"
    finally:
        server.kill()
        server.wait()
