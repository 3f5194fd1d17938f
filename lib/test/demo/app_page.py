"""The page of the browser app: its parts and their actions. No other file needs Gradio."""

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
from .app_session import Session, VisitorOptions, summary
from .bundled import LOST_BELOW, bundled_models

log = logging.getLogger(__name__)

HOUR = 3600
VIDEOS = [".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"]
TITLE = "Visible + infrared tracking"
INTRODUCTION = f"""# {TITLE}
Drop the two videos of one scene and open them, or use the bundled sequence. Click two opposite corners of the target,
then **Track**. A box drawn in a later frame corrects the target there."""


@dataclass
class Visitor:
    """A visitor: the session and the uploaded files."""

    session: Session
    uploads: set[str] = field(default_factory=set)  # paths; the page may open them again
    last_used: float = field(default_factory=time.monotonic)

    def clear(self) -> None:
        """Remove the visitor's uploads and results."""
        self.session.close()
        for path in self.uploads:
            Path(path).unlink(missing_ok=True)


class Visitors:
    """All visitors. Those who close the page, or do not use it for an hour, are removed with their files."""

    def __init__(self, max_frames: int):
        self.max_frames = max_frames
        self._visitors: dict[str, Visitor] = {}

    def find(self, request: gr.Request) -> Visitor:
        """The visitor who sent a request; a new one has a session without a video."""
        for name in [name for name, visitor in self._visitors.items() if visitor.last_used < time.monotonic() - HOUR]:
            self._visitors.pop(name).clear()
        name = str(request.session_hash)
        if name not in self._visitors:
            self._visitors[name] = Visitor(Session(self.max_frames))
        self._visitors[name].last_used = time.monotonic()
        return self._visitors[name]

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page."""
        visitor = self._visitors.pop(str(request.session_hash), None)
        if visitor is not None:
            visitor.clear()


class Actions:
    """What the parts of the page do. Gradio passes arguments that are annotated with its own types."""

    def __init__(self, visitors: Visitors, backend: str):
        self.visitors, self.backend = visitors, backend

    def open_videos(
        self, visible: str | None, infrared: str | None, align: bool, request: gr.Request
    ) -> tuple[Any, ...]:
        """Open two uploaded videos."""
        self.visitors.find(request).uploads |= {path for path in (visible, infrared) if path is not None}
        return self._start(request, lambda session: session.open(visible, infrared, align))

    def open_bundled(self, request: gr.Request) -> tuple[Any, ...]:
        """Open the bundled sequence."""
        return self._start(request, lambda session: session.open_bundled())

    def show(self, frame: int, camera: str, request: gr.Request) -> np.ndarray | None:
        """The picture of a frame."""
        session = self._session(request)
        if session.sequence is None:
            return None
        return _show_errors(session.picture, int(frame) - 1, int(camera == "infrared"))

    def click(self, frame: int, camera: str, event: gr.SelectData, request: gr.Request) -> tuple[Any, ...]:
        """A corner of a box."""
        status = self._session(request).click(int(frame) - 1, *event.index)
        return self.show(frame, camera, request), status

    def enter(self, frame: int, camera: str, text: str, request: gr.Request) -> tuple[Any, ...]:
        """A box in numbers."""
        status = _show_errors(self._session(request).enter, int(frame) - 1, text)
        return self.show(frame, camera, request), status

    def clear(self, frame: int, camera: str, request: gr.Request) -> tuple[Any, ...]:
        """Remove all boxes."""
        session = self._session(request)
        session.clear()
        return self.show(frame, camera, request), session.describe_boxes()

    def track(
        self,
        model: str,
        device: str,
        heat: bool,
        lost: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio passes it because of this default)
    ) -> tuple[Any, ...]:
        """Track the target, and show the result."""

        def show_progress(done: int, total: int) -> None:
            progress((done, total), unit="frames")

        options = VisitorOptions(model, device, heat, lost, self.backend)
        result = _show_errors(self._session(request).track, options, show_progress)
        return str(result.files[0]), [str(path) for path in result.files], summary(result)

    def _session(self, request: gr.Request) -> Session:
        return self.visitors.find(request).session

    def _start(self, request: gr.Request, open_video: Callable[[Session], list[str]]) -> tuple[Any, ...]:
        session = self._session(request)
        lines = _show_errors(open_video, session)
        slider = gr.Slider(1, max(session.length, 2), 1, step=1)
        return self.show(1, "visible", request), "\n\n".join([*lines, session.describe_boxes()]), slider


def build_page(max_frames: int, backend: str) -> gr.Blocks:
    """The page. max_frames: frames of a video that are tracked; the rest is ignored. backend: computes the networks."""
    visitors, models = Visitors(max_frames), list(bundled_models())
    actions = Actions(visitors, backend)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 12, HOUR)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                visible, infrared = map(_make_upload, ("visible", "infrared"))
                align = gr.Checkbox(
                    label="align the cameras", info="where the two pictures differ in shape or are shifted"
                )
                opened = gr.Button("Open the videos", elem_id="open")
                bundled = gr.Button("Use the bundled sequence", elem_id="bundled")
                model = gr.Dropdown(models, value=models[0], label="model")
                device = gr.Dropdown(["auto", *device_types()], value="auto", label="device")
                lost = gr.Slider(0, 1, LOST_BELOW, step=0.05, label="lost below this score")
                heat = gr.Checkbox(label="show the score map")
            with gr.Column(scale=2, min_width=420):
                image = gr.Image(label="frame", interactive=False, format="png", elem_id="frame", buttons=[])
                status = gr.Markdown(elem_id="status")
                with gr.Row():
                    frame = gr.Slider(1, 2, 1, step=1, label="frame", scale=3, elem_id="number")
                    camera = gr.Radio(["visible", "infrared"], value="visible", label="camera", scale=2)
                with gr.Row():
                    box = gr.Textbox(label="box x,y,w,h in pixels, then Enter", scale=3, elem_id="box")
                    clear = gr.Button("Clear the boxes", scale=1, elem_id="clear")
                track = gr.Button("Track", variant="primary", elem_id="track")
                video = gr.Video(label="result", interactive=False, elem_id="result", autoplay=True, loop=True)
                files = gr.File(label="files", file_count="multiple", interactive=False, elem_id="files")
        shown = [frame, camera]
        opened.click(actions.open_videos, [visible, infrared, align], [image, status, frame])
        bundled.click(actions.open_bundled, None, [image, status, frame])
        image.select(actions.click, shown, [image, status])
        box.submit(actions.enter, [*shown, box], [image, status])
        clear.click(actions.clear, shown, [image, status])
        gr.on([frame.change, camera.change], actions.show, shown, image, show_progress="hidden")
        track.click(actions.track, [model, device, heat, lost], [video, files, status])
        page.unload(visitors.leave)
    return page


def _make_upload(camera: str) -> gr.File:
    return gr.File(label=f"{camera} video", file_types=VIDEOS, elem_id=camera, height=130)


def _show_errors(action: Any, *arguments: Any) -> Any:
    """The result of a session's action; an InputError is shown on the page."""
    try:
        return action(*arguments)
    except InputError as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from None


def launch(page: gr.Blocks, host: str, port: int, *, max_megabytes: int, browser: bool) -> None:
    """Serve the page until Ctrl-C. Raises InputError where the host or port cannot be used."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio sends requests to itself
    log.info("open http://%s:%d in a browser; Ctrl-C ends the app", host, port)
    try:
        _serve(page, host, port, max_megabytes, browser)
    except OSError as error:
        raise InputError(f"--port {port}: cannot be used ({str(error).splitlines()[0]}); give another") from None


def _serve(page: gr.Blocks, host: str, port: int, max_megabytes: int, browser: bool) -> None:
    page.queue(default_concurrency_limit=1, max_size=16).launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        max_file_size=f"{max_megabytes}mb",
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
    )
