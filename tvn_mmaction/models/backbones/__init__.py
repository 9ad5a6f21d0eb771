"""Backbones: the Tiny Video Networks, and networks for comparison and early exits."""

from . import (  # noqa: F401 - registers them
    msdnet,
    online_tsm,
    recurrent_net,
    resnet_exits,
    slow_fusion,
    tiny_video_net,
)
