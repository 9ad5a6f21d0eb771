"""Slow fusion network (Karpathy et al., CVPR 2014): the first three layers reduce ten frames to four, two and one."""

from typing import NamedTuple

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

FRAMES = 10  # which the temporal windows of the layers reduce to one
FEATURES = 4096


class ConvLayer(NamedTuple):
    """A convolution and its ReLU. Windows and strides are (frames, pixels)."""

    filters: int
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: int = 0  # pixels
    normalised: bool = False  # local response normalisation across channels
    pooled: bool = False  # max pooling of 2 x 2 pixels


# Each line ends with its output, C x T x H x W at the paper's 170 x 170 pixels. The paper does not specify the padding:
# here it is that of AlexNet, which the paper's table follows.
LAYERS = (
    ConvLayer(96, window=(4, 11), stride=(2, 3), normalised=True, pooled=True),  # 96 x 4 x 27 x 27
    ConvLayer(256, window=(2, 5), stride=(2, 1), padding=2, normalised=True, pooled=True),  # 256 x 2 x 13 x 13
    ConvLayer(384, window=(2, 3), stride=(2, 1), padding=1),  # 384 x 1 x 13 x 13
    ConvLayer(384, window=(1, 3), stride=(1, 1), padding=1),  # 384 x 1 x 13 x 13
    ConvLayer(256, window=(1, 3), stride=(1, 1), padding=1, pooled=True),  # 256 x 1 x 6 x 6
)


@MODELS.register_module()
class SlowFusion(BaseModule):
    """The slow fusion network of section 3.1 as a backbone. `I3DHead(spatial_type=None)` is its classifier.

    Args:
        spatial_size: Height and width of the frames in pixels, which determine the size of the first linear layer.
        dropout_ratio: Dropout between the two linear layers.
        init_cfg: MMEngine's initialisation; by default He initialisation, since the paper does not specify one.

    Raises:
        ValueError: The frames are too small for the layers.
    """

    def __init__(self, spatial_size: int = 170, dropout_ratio: float = 0.5, init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg or dict(type='Kaiming', layer=['Conv3d', 'Linear'], mode='fan_in'))
        self.spatial_size = side = spatial_size
        layers, channels = [], 3
        for filters, (frames, pixels), (frame_stride, pixel_stride), padding, normalised, pooled in LAYERS:
            layers.append(
                nn.Conv3d(
                    channels, filters, (frames, pixels, pixels), (frame_stride, pixel_stride, pixel_stride),
                    (0, padding, padding),
                )
            )  # fmt: skip
            layers.append(nn.ReLU(inplace=True))
            side = (side + 2 * padding - pixels) // pixel_stride + 1
            channels = filters
            if normalised:
                layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.5, k=2))  # PyTorch divides alpha by the size
            if pooled:
                layers.append(nn.MaxPool3d((1, 2, 2)))
                side //= 2
        if side < 1:
            raise ValueError(f'spatial_size is {spatial_size}, too small for the layers; give 32 or more')
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side * side, FEATURES),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout_ratio),
            nn.Linear(FEATURES, FEATURES),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map clips `(N, 3, 10, H, W)`, normalised RGB with `H = W = spatial_size`, to features `(N, 4096)`."""
        expected = (3, FRAMES, self.spatial_size, self.spatial_size)
        if x.shape[1:] != expected:
            raise ValueError(f'clips of shape {tuple(x.shape[1:])}: give {expected}')
        return self.linear(self.layers(x))
