"""The page of the browser app: its parts and what they do. The one file that needs Gradio."""

import logging
from typing import Any

import gradio as gr
import numpy as np

from lib.core.errors import InputError
from lib.test.app_session import Session, Wishes, find_devices, find_models, summary
from lib.test.shipped import LOST_BELOW

log = logging.getLogger(__name__)

HOUR = 3600
VIDEOS = [".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"]
TITLE = "Visible + infrared tracking"
INTRODUCTION = f"""# {TITLE}
Drop the two videos of one scene and open them, or take the bundled sequence. Click two opposite corners of the target,
then **Track**. A box drawn in a later frame corrects the target there."""


def build_page(most_frames: int) -> gr.Blocks:
    """The page. most_frames: of a video that are followed."""
    models = list(find_models())
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 12, HOUR)) as page:
        desk = gr.State(None, time_to_live=HOUR, delete_callback=close)
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                visible = gr.File(label="visible video", file_types=VIDEOS, elem_id="visible", height=130)
                infrared = gr.File(label="infrared video", file_types=VIDEOS, elem_id="infrared", height=130)
                align = gr.Checkbox(label="align the cameras", info="they differ in shape, or show shifted pictures")
                opened = gr.Button("Open the videos", elem_id="open")
                bundled = gr.Button("Use the bundled sequence", elem_id="bundled")
                model = gr.Dropdown(models, value=models[0], label="model")
                device = gr.Dropdown(find_devices(), value="auto", label="device")
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
                track_button = gr.Button("Track", variant="primary", elem_id="track")
                video = gr.Video(label="result", interactive=False, elem_id="result", autoplay=True, loop=True)
                files = gr.File(label="to keep", file_count="multiple", interactive=False, elem_id="files")
        limit = gr.State(most_frames)
        started, seen = [desk, image, told, frame], [desk, frame, camera]
        opened.click(open_videos, [desk, limit, visible, infrared, align], started)
        bundled.click(open_bundled, [desk, limit], started)
        image.select(click, seen, [image, told])
        box.submit(enter, [*seen, box], [image, told])
        clear.click(forget, seen, [image, told])
        gr.on([frame.change, camera.change], show, seen, image, show_progress="hidden")
        track_button.click(track, [desk, model, device, heat, lost], [video, files, told])
    return page


def open_videos(
    desk: Session | None, limit: int, visible: str | None, infrared: str | None, align: bool
) -> tuple[Any, ...]:
    """Take two uploads."""
    fresh = _fresh(desk, limit)
    return _started(fresh, _told(fresh.open, visible, infrared, align))


def open_bundled(desk: Session | None, limit: int) -> tuple[Any, ...]:
    """Take the sequence that comes with the toolbox."""
    fresh = _fresh(desk, limit)
    return _started(fresh, _told(fresh.open_bundled))


def show(desk: Session | None, frame: int, camera: str) -> np.ndarray | None:
    """The picture of a frame."""
    if desk is None or desk.sequence is None:
        return None
    return _told(desk.picture, int(frame) - 1, int(camera == "infrared"))


def click(desk: Session | None, frame: int, camera: str, event: gr.SelectData) -> tuple[Any, ...]:
    """A corner of a box."""
    there = _there(desk)
    told = there.click(int(frame) - 1, *event.index)
    return show(there, frame, camera), told


def enter(desk: Session | None, frame: int, camera: str, text: str) -> tuple[Any, ...]:
    """A box in numbers."""
    there = _there(desk)
    told = _told(there.enter, int(frame) - 1, text)
    return show(there, frame, camera), told


def forget(desk: Session | None, frame: int, camera: str) -> tuple[Any, ...]:
    """No boxes any more."""
    there = _there(desk)
    there.clear()
    return show(there, frame, camera), there.told()


def track(
    desk: Session | None,
    model: str,
    device: str,
    heat: bool,
    lost: float,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
) -> tuple[Any, ...]:
    """Follow the target; Gradio hands in what shows the progress."""

    def tell(done: int, total: int) -> None:
        progress((done, total), unit="frames")

    film = _told(_there(desk).track, Wishes(model, device, heat, lost), tell)
    return str(film.files[0]), [str(path) for path in film.files], summary(film)


def close(desk: Session | None) -> None:
    """Remove what a session holds."""
    if desk is not None:
        desk.close()


def _started(desk: Session, lines: list[str]) -> tuple[Any, ...]:
    slider = gr.Slider(1, max(desk.length, 2), 1, step=1)
    return desk, show(desk, 1, "visible"), "\n\n".join([*lines, desk.told()]), slider


def _fresh(desk: Session | None, limit: int) -> Session:
    close(desk)
    return Session(limit)


def _there(desk: Session | None) -> Session:
    if desk is None:
        raise gr.Error("no video yet; drop two videos and open them, or take the bundled sequence")
    return desk


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
