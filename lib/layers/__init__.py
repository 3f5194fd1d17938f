"""Building blocks of networks."""

from .torchvision import declare_missing_operators

declare_missing_operators()  # before anything here imports timm
