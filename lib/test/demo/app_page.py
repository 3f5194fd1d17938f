"""The page of the browser app: its parts and their actions. This file and app_serve.py alone need Gradio."""

import html
import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from ...core.distributed import device_types
from ...core.errors import InputError
from .app_boxes import MOST_TARGETS
from .app_picture import EMPTY, POINTING, STYLE, picture_html
from .app_session import Session, VisitorLeft, VisitorOptions, summary
from .app_visitors import Visitor, Visitors
from .bundled import LOST_BELOW, bundled_models

log = logging.getLogger(__name__)

MINUTE = 60
VIDEOS = [".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"]
TITLE = "Visible + infrared tracking"
INTRODUCTION = f"""# {TITLE}
Drop the two videos of one scene, or use the bundled sequence. Click two opposite corners of the target, or drag a box
around it; then **Track**. A box drawn in a later frame corrects the target there."""

Update = dict[Any, Any]  # part of the page -> its new value


class Page:
    """The parts of the page and what they do. Gradio passes arguments that are annotated with its own types."""

    def __init__(self, visitors: Visitors, backend: str):
        self.visitors, self.backend = visitors, backend
        models = list(bundled_models())
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                self.visible, self.infrared = map(_make_upload, ("visible", "infrared"))
                self.align = gr.Checkbox(
                    label="align the cameras", info="where the two pictures differ in shape or are shifted"
                )
                self.bundled = gr.Button("Use the bundled sequence", elem_id="bundled")
                self.model = gr.Dropdown(models, value=models[0], label="model")
                self.device = gr.Dropdown(["auto", *device_types()], value="auto", label="device")
                self.lost = gr.Slider(0, 1, LOST_BELOW, step=0.05, label="lost below this score")
                self.heat = gr.Checkbox(label="show the score map")
            with gr.Column(scale=2, min_width=420):
                self.image = gr.HTML(EMPTY, elem_id="frame", css_template=STYLE, js_on_load=POINTING)
                self.status = gr.HTML(elem_id="status")
                with gr.Row():
                    self.frame = gr.Slider(1, 2, 1, step=1, label="frame", scale=3, elem_id="number")
                    self.camera = gr.Radio(["visible", "infrared"], value="visible", label="camera", scale=2)
                with gr.Row():
                    self.target = gr.Dropdown(
                        list(range(1, MOST_TARGETS + 1)),
                        value=1,
                        label="target",
                        scale=1,
                        min_width=90,
                        elem_id="target",
                    )
                    self.box = gr.Textbox(label="box x,y,w,h in pixels, then Enter", scale=3, elem_id="box")
                    self.clear = gr.Button("Clear the boxes", scale=1, elem_id="clear")
                self.track = gr.Button("Track", variant="primary", elem_id="track", interactive=False)
                self.video = gr.Video(label="result", interactive=False, elem_id="result", autoplay=True, loop=True)
                self.files = gr.File(label="files", file_count="multiple", interactive=False, elem_id="files")
        self._connect()

    def _connect(self) -> None:
        """Say which part does what."""
        opened = [self.image, self.status, self.frame, self.track, self.video, self.files]
        drawn, shown = [self.image, self.status, self.track], [self.frame, self.camera]
        uploads: list[Any] = [self.visible, self.infrared, self.align]
        gr.on([part.change for part in uploads], self.open_videos, uploads, opened)
        self.bundled.click(self.open_bundled, None, opened)
        self.image.select(self.point, [*shown, self.target], drawn)
        self.box.submit(self.enter, [*shown, self.target, self.box], drawn)
        self.clear.click(self.clear_boxes, shown, drawn)
        gr.on(
            [self.frame.change, self.camera.change], self.show, shown, [self.image, self.status], show_progress="hidden"
        )
        chosen = [self.model, self.device, self.heat, self.lost]
        self.track.click(self.run, chosen, [self.video, self.files, self.status])

    def open_videos(self, visible: str | None, infrared: str | None, align: bool, request: gr.Request) -> Update:
        """Open uploaded videos."""

        def open_them(visitor: Visitor) -> list[str]:
            visitor.session.forget()
            visitor.keep_only(visible, infrared)
            paths = visitor.own(visible), visitor.own(infrared)
            if paths == (None, None):
                return []
            return visitor.session.open(*paths, align)

        return self._start(request, open_them)

    def open_bundled(self, request: gr.Request) -> Update:
        """Open the bundled sequence."""
        return self._start(request, lambda visitor: visitor.session.open_bundled())

    def show(self, frame: int, camera: str, request: gr.Request) -> Update:
        """The picture of a frame."""
        session = self._visitor(request).session
        if session.sequence is None:
            return {self.image: EMPTY}
        return self._attempt(lambda: {self.image: _draw(session, frame, camera)})

    def point(self, frame: int, camera: str, target: int, event: gr.EventData, request: gr.Request) -> Update:
        """A corner of a box, or a whole box, with the mouse."""
        first, second = event.first, event.second
        return self._change(
            request, frame, camera, lambda session: session.point(int(frame) - 1, first, second, int(target))
        )

    def enter(self, frame: int, camera: str, target: int, text: str, request: gr.Request) -> Update:
        """A box in numbers."""
        return self._change(request, frame, camera, lambda session: session.enter(int(frame) - 1, text, int(target)))

    def clear_boxes(self, frame: int, camera: str, request: gr.Request) -> Update:
        """Remove all boxes."""

        def clear(session: Session) -> str:
            session.drawn.clear()
            return session.drawn.describe()

        return self._change(request, frame, camera, clear)

    def run(
        self,
        model: str,
        device: str,
        heat: bool,
        lost: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio passes it because of this default)
    ) -> Update:
        """Track the targets, and show the result."""
        session = self._visitor(request).session

        def show_progress(done: int, total: int) -> None:
            progress((done, total), unit="frames")

        def track() -> Update:
            result = session.track(VisitorOptions(model, device, heat, lost, self.backend), show_progress)
            paths = [str(path) for path in result.files]
            return {self.video: paths[0], self.files: paths, self.status: _words(summary(result))}

        return {self.video: None, self.files: None} | self._attempt(track)

    def _visitor(self, request: gr.Request) -> Visitor:
        return self.visitors.find(str(request.session_hash))

    def _start(self, request: gr.Request, open_video: Callable[[Visitor], list[str]]) -> Update:
        visitor = self._visitor(request)
        session = visitor.session

        def start() -> Update:
            lines = open_video(visitor)
            if session.sequence is None:
                return {}
            slider = gr.Slider(1, max(session.length, 2), 1, step=1, interactive=session.length > 1)
            words = _words(*lines, session.drawn.describe())
            return {self.frame: slider, self.image: _draw(session, 1, "visible"), self.status: words}

        empty = {self.image: EMPTY, self.status: "", self.video: None, self.files: None}
        return empty | self._attempt(start) | {self.track: gr.Button(interactive=session.ready)}

    def _change(self, request: gr.Request, frame: int, camera: str, change: Callable[[Session], str]) -> Update:
        session = self._visitor(request).session

        def apply() -> Update:
            words = change(session)
            return {self.image: _draw(session, frame, camera), self.status: _words(words)}

        return self._attempt(apply) | {self.track: gr.Button(interactive=session.ready)}

    def _attempt(self, action: Callable[[], Update]) -> Update:
        """What an action shows; or why there is nothing, in the place of the status, until the next action."""
        try:
            return action()
        except VisitorLeft:
            return {}
        except InputError as error:
            return {self.status: _words(str(error), wrong=True)}
        except Exception:
            log.exception("an action of the page failed")
            return {self.status: _words("That failed; the terminal of the app says why.", wrong=True)}


def build_page(max_frames: int, backend: str) -> gr.Blocks:
    """The page. max_frames: frames of a video that are tracked; the rest is ignored. backend: computes the networks."""
    visitors = Visitors(max_frames, Path(tempfile.gettempdir()))

    def leave(request: gr.Request) -> None:
        visitors.leave(str(request.session_hash))

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION)
        Page(visitors, backend)
        page.unload(leave)
    _sweep_every_minute(visitors)
    return page


def _sweep_every_minute(visitors: Visitors) -> None:
    def sweep() -> None:
        wait = threading.Event()
        while not wait.wait(MINUTE):
            visitors.sweep()

    threading.Thread(target=sweep, daemon=True, name="sweep").start()


def _draw(session: Session, frame: int, camera: str) -> str:
    return picture_html(session.picture(int(frame) - 1, int(camera == "infrared")))


def _words(*lines: str, wrong: bool = False) -> str:
    """Lines for the visitor as HTML."""
    colour = ' style="color: var(--error-text-color, #b91c1c)" role="alert"' if wrong else ""
    return "".join(f"<p{colour}>{html.escape(line)}</p>" for line in lines)


def _make_upload(camera: str) -> gr.File:
    return gr.File(label=f"{camera} video", file_types=VIDEOS, elem_id=camera, height=130)
