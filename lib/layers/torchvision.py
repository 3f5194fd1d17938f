"""Making timm importable where torchvision's native library does not match the installed torch.

timm imports torchvision, whose Python part registers kernels for two native operators. Where the native library cannot
be loaded (a CPU torch with a CUDA torchvision) those operators do not exist and the import fails; declaring their
schemas is enough. No torchvision operator is ever called.
"""

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library: torch.library.Library | None = None


def declare_missing_operators() -> None:
    """Declare torchvision's operators if importing it fails without them; does nothing otherwise."""
    global _library
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _library = torch.library.Library("torchvision", "DEF")  # the declarations live as long as this object
        for schema in _SCHEMAS.values():
            _library.define(schema)
