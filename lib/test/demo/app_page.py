"""The page of the browser app: its parts and what they do. The one file that needs Gradio."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ...core.distributed import device_types
from ...core.errors import InputError
from .app_session import Session, Wishes, summary
from .shipped import LOST_BELOW, shipped_models

log = logging.getLogger(__name__)

HOUR = 3600
VIDEOS = [".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"]
TITLE = "Visible + infrared tracking"
INTRODUCTION = f"""# {TITLE}
Drop the two videos of one scene and open them, or take the bundled sequence. Click two opposite corners of the target,
then **Track**. A box drawn in a later frame corrects the target there."""


@dataclass
class Desk:
    """What is kept of a visitor."""

    session: Session
    uploads: set[str] = field(default_factory=set)  # that the page may open again
    touched: float = field(default_factory=time.monotonic)

    def clear(self) -> None:
        """Remove all that the visitor brought and made."""
        self.session.close()
        for path in self.uploads:
            Path(path).unlink(missing_ok=True)


class Desks:
    """The desks of all visitors; one that is left, or unused for an hour, is cleared."""

    def __init__(self, most_frames: int):
        self.most_frames = most_frames
        self._desks: dict[str, Desk] = {}

    def of(self, request: gr.Request) -> Desk:
        """A visitor's desk; its session has no video until one is opened."""
        for name in [name for name, desk in self._desks.items() if desk.touched < time.monotonic() - HOUR]:
            self._desks.pop(name).clear()
        name = str(request.session_hash)
        if name not in self._desks:
            self._desks[name] = Desk(Session(self.most_frames))
        self._desks[name].touched = time.monotonic()
        return self._desks[name]

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page."""
        desk = self._desks.pop(str(request.session_hash), None)
        if desk is not None:
            desk.clear()


class Actions:
    """What the parts of the page do. Gradio hands in what is annotated with its types."""

    def __init__(self, desks: Desks):
        self.desks = desks

    def open_videos(
        self, visible: str | None, infrared: str | None, align: bool, request: gr.Request
    ) -> tuple[Any, ...]:
        """Take two uploads."""
        self.desks.of(request).uploads |= {path for path in (visible, infrared) if path is not None}
        return self._start(request, lambda session: session.open(visible, infrared, align))

    def open_bundled(self, request: gr.Request) -> tuple[Any, ...]:
        """Take the sequence that comes with the toolbox."""
        return self._start(request, lambda session: session.open_bundled())

    def show(self, frame: int, camera: str, request: gr.Request) -> np.ndarray | None:
        """The picture of a frame."""
        session = self._session(request)
        if session.sequence is None:
            return None
        return _told(session.picture, int(frame) - 1, int(camera == "infrared"))

    def click(self, frame: int, camera: str, event: gr.SelectData, request: gr.Request) -> tuple[Any, ...]:
        """A corner of a box."""
        told = self._session(request).click(int(frame) - 1, *event.index)
        return self.show(frame, camera, request), told

    def enter(self, frame: int, camera: str, text: str, request: gr.Request) -> tuple[Any, ...]:
        """A box in numbers."""
        told = _told(self._session(request).enter, int(frame) - 1, text)
        return self.show(frame, camera, request), told

    def clear(self, frame: int, camera: str, request: gr.Request) -> tuple[Any, ...]:
        """No boxes any more."""
        session = self._session(request)
        session.clear()
        return self.show(frame, camera, request), session.told()

    def track(
        self,
        model: str,
        device: str,
        heat: bool,
        lost: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (how Gradio is told to hand it in)
    ) -> tuple[Any, ...]:
        """Follow the target."""

        def tell(done: int, total: int) -> None:
            progress((done, total), unit="frames")

        film = _told(self._session(request).track, Wishes(model, device, heat, lost), tell)
        return str(film.files[0]), [str(path) for path in film.files], summary(film)

    def _session(self, request: gr.Request) -> Session:
        return self.desks.of(request).session

    def _start(self, request: gr.Request, take: Callable[[Session], list[str]]) -> tuple[Any, ...]:
        session = self._session(request)
        lines = _told(take, session)
        slider = gr.Slider(1, max(session.length, 2), 1, step=1)
        return self.show(1, "visible", request), "\n\n".join([*lines, session.told()]), slider


def build_page(most_frames: int) -> gr.Blocks:
    """The page. most_frames: of a video that are followed."""
    desks, models = Desks(most_frames), list(shipped_models())
    actions = Actions(desks)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 12, HOUR)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                visible = gr.File(label="visible video", file_types=VIDEOS, elem_id="visible", height=130)
                infrared = gr.File(label="infrared video", file_types=VIDEOS, elem_id="infrared", height=130)
                align = gr.Checkbox(label="align the cameras", info="they differ in shape, or show shifted pictures")
                opened = gr.Button("Open the videos", elem_id="open")
                bundled = gr.Button("Use the bundled sequence", elem_id="bundled")
                model = gr.Dropdown(models, value=models[0], label="model")
                device = gr.Dropdown(["auto", *device_types()], value="auto", label="device")
                lost = gr.Slider(0, 1, LOST_BELOW, step=0.05, label="lost below this score")
                heat = gr.Checkbox(label="show the score map")
            with gr.Column(scale=2, min_width=420):
                image = gr.Image(label="frame", interactive=False, format="png", elem_id="frame", buttons=[])
                told = gr.Markdown(elem_id="told")
                with gr.Row():
                    frame = gr.Slider(1, 2, 1, step=1, label="frame", scale=3, elem_id="number")
                    camera = gr.Radio(["visible", "infrared"], value="visible", label="camera", scale=2)
                with gr.Row():
                    box = gr.Textbox(label="box x,y,w,h in pixels, then Enter", scale=3, elem_id="box")
                    clear = gr.Button("Clear the boxes", scale=1, elem_id="clear")
                track = gr.Button("Track", variant="primary", elem_id="track")
                video = gr.Video(label="result", interactive=False, elem_id="result", autoplay=True, loop=True)
                files = gr.File(label="to keep", file_count="multiple", interactive=False, elem_id="files")
        seen = [frame, camera]
        opened.click(actions.open_videos, [visible, infrared, align], [image, told, frame])
        bundled.click(actions.open_bundled, None, [image, told, frame])
        image.select(actions.click, seen, [image, told])
        box.submit(actions.enter, [*seen, box], [image, told])
        clear.click(actions.clear, seen, [image, told])
        gr.on([frame.change, camera.change], actions.show, seen, image, show_progress="hidden")
        track.click(actions.track, [model, device, heat, lost], [video, files, told])
        page.unload(desks.leave)
    return page


def _told(act: Any, *arguments: Any) -> Any:
    """The answer of a session; what it says about bad input is shown on the page."""
    try:
        return act(*arguments)
    except InputError as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from None


def launch(page: gr.Blocks, host: str, port: int, *, most_megabytes: int, browser: bool) -> None:
    """Serve the page until Ctrl-C. Raises InputError when the address cannot be served at."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself whether it is there
    log.info("open http://%s:%d in a browser; Ctrl-C ends the app", host, port)
    try:
        _serve(page, host, port, most_megabytes, browser)
    except OSError as error:
        raise InputError(f"--port {port}: cannot be served at ({str(error).splitlines()[0]}); give another") from None


def _serve(page: gr.Blocks, host: str, port: int, most_megabytes: int, browser: bool) -> None:
    page.queue(default_concurrency_limit=1, max_size=16).launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        max_file_size=f"{most_megabytes}mb",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
    )
