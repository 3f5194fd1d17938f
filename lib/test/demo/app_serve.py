"""Serving the page of the browser app."""

import logging
import tempfile
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware

from ...core.errors import InputError
from .app_uploads import UploadLimit

log = logging.getLogger(__name__)


def launch(page: gr.Blocks, host: str, port: int, *, max_megabytes: int, total_megabytes: int, browser: bool) -> None:
    """Serve the page until Ctrl-C. Raises InputError where the host or port cannot be used.

    max_megabytes: of one upload; total_megabytes: of all uploads and results together.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio sends requests to itself
    log.info("open http://%s:%d in a browser; Ctrl-C ends the app", host, port)
    try:
        _serve(page, host, port, (max_megabytes, total_megabytes), browser)
    except OSError as error:
        raise InputError(f"--port {port}: cannot be used ({str(error).splitlines()[0]}); give another") from None


def _serve(page: gr.Blocks, host: str, port: int, megabytes: tuple[int, int], browser: bool) -> None:
    limit = Middleware(UploadLimit, folder=Path(tempfile.gettempdir()), max_megabytes=megabytes[1])
    page.queue(default_concurrency_limit=1, max_size=16).launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        max_file_size=f"{megabytes[0]}mb",
        app_kwargs={"middleware": [limit]},
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        quiet=True,
    )
