"""Recurrent network on features of frames, after arXiv 1411.4389 (LSTM) and 1406.1078 (GRU)."""

from typing import Literal

from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

CELLS = {'LSTM': nn.LSTM, 'GRU': nn.GRU}


@MODELS.register_module()
class RecurrentNet(BaseModule):
    """PyTorch's LSTM or GRU as a backbone, for the stock `Recognizer3D` with the stock `I3DHead`.

    Args:
        in_channels: Channels of the features.
        channels: Channels of the state of each direction. The output has as many, or twice as many if `bidirectional`.
        cell: `'LSTM'` or `'GRU'`.
        layers: Number of stacked layers.
        bidirectional: Whether a second network reads the clip backwards.
        dropout: Dropout rate of the outputs of all layers except the last one.
        normalise: Whether to apply layer normalisation to the features of each time step.
        init_cfg: MMEngine's initialisation; by default that of PyTorch.

    Raises:
        ValueError: Unknown cell.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        cell: Literal['LSTM', 'GRU'] = 'LSTM',
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        normalise: bool = True,
        init_cfg: dict | list[dict] | None = None,
    ):
        super().__init__(init_cfg)
        if cell not in CELLS:
            raise ValueError(f'unknown cell {cell}; known are {", ".join(CELLS)}')
        self.norm = nn.LayerNorm(in_channels) if normalise else nn.Identity()
        self.net = CELLS[cell](
            in_channels, channels, layers, batch_first=True, dropout=dropout, bidirectional=bidirectional
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features `(N, T, C)` to the last state of each direction, `(N, C', 1, 1, 1)`.

        Time steps of NaN at the end of a clip are padding. Every clip has at least one other step.
        """
        lengths = (~x[..., 0].isnan()).sum(1)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        # Padding does not go through the norm: its gradient would be NaN.
        _, state = self.net(packed._replace(data=self.norm(packed.data)))
        if isinstance(state, tuple):  # hidden state and cell state of an LSTM
            state, _ = state
        directions = 2 if self.net.bidirectional else 1
        return state[-directions:].transpose(0, 1).flatten(1)[..., None, None, None]
