"""The picture of the browser app that boxes are drawn on: its HTML, and what the mouse does on it."""

import base64

import cv2
import numpy as np

EMPTY = "<p>The first frame appears here.</p>"
STYLE = """
.stage { position: relative; display: inline-block; line-height: 0; touch-action: none; cursor: crosshair; }
.stage img { width: 100%; user-select: none; }
.rubber { position: absolute; border: 2px solid orange; pointer-events: none; display: none; }
"""
#: Sends `select` with the places where the mouse was pressed and released, as parts of width and height, in [0, 1].
POINTING = """
let start = null;
const place = (event) => {
  const shown = element.querySelector('img').getBoundingClientRect();
  const part = (value, low, size) => Math.min(Math.max((value - low) / size, 0), 1);
  return [part(event.clientX, shown.left, shown.width), part(event.clientY, shown.top, shown.height)];
};
const draw = (first, second) => {
  const rubber = element.querySelector('.rubber');
  if (!rubber) return;
  rubber.style.display = first ? 'block' : 'none';
  if (!first) return;
  ['left', 'top'].forEach((side, k) => { rubber.style[side] = 100 * Math.min(first[k], second[k]) + '%'; });
  ['width', 'height'].forEach((side, k) => { rubber.style[side] = 100 * Math.abs(first[k] - second[k]) + '%'; });
};
element.addEventListener('pointerdown', (event) => {
  if (event.button !== 0 || event.target.tagName !== 'IMG') return;
  event.preventDefault();
  start = place(event);
});
window.addEventListener('pointermove', (event) => {
  if (start && element.querySelector('img')) draw(start, place(event));
});
window.addEventListener('pointerup', (event) => {
  if (!start || !element.querySelector('img')) { start = null; return; }
  const first = start;
  start = null;
  draw(null);
  trigger('select', { first: first, second: place(event) });
});
window.addEventListener('pointercancel', () => { start = null; draw(null); });
"""
WIDEST = 1280  # pixels of the picture that is sent; a larger frame is reduced


def picture_html(image: np.ndarray) -> str:
    """An image [H, W, 3] uint8 RGB as HTML that fills its pane; it is no file, so none is left on the server."""
    height, width = image.shape[:2]
    if width > WIDEST:
        image = cv2.resize(image, (WIDEST, round(height * WIDEST / width)), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    source = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    wide = f"width: min(100%, calc(80vh * {width / height:.4f}))"
    picture = f'<img src="{source}" draggable="false" alt="frame">'
    return f'<div class="stage" style="{wide}">{picture}<div class="rubber"></div></div>'
