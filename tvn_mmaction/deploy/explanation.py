"""Grad-CAM (arXiv 1610.02391) of a checkpoint: which regions of the frames raise the score of the predicted class."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmaction.models import Recognizer2D
from mmaction.structures import ActionDataSample
from mmaction.utils import GradCAM
from mmengine.config import Config
from torch import Tensor, nn

from ..datasets.decoding_process import DecodingProcess
from ..datasets.transforms.standalone_pipeline import FramePipeline
from ..utils.errors import UserError, shorten
from ..utils.io import write_atomically
from ..utils.output_paths import check_file
from ..utils.similar_names import similar_names
from .engines import ENGINES_BY_SUFFIX, TorchEngine
from .inference_network import load_network
from .live.overlay import Caption, VideoAnnotator, draw

FORMATS = ('.mp4', '.png')
FRAMES_PER_SECOND = 2.0  # of an explanation as a video, since networks see few frames of a video
ASPECT_TOLERANCE = 1.5  # between the reduction of height and width by a network, due to rounding


@dataclass(frozen=True, eq=False)
class Explanation:
    """The frames that a network saw of a video, under heat maps of their importance for the predicted class."""

    label: str
    probability: float
    layer: str  # name of the layer that the heat maps are of
    pictures: np.ndarray  # RGB (views, T, H, W, 3) uint8


def explain(file: str | Path, video: str | Path, config: Config | None = None, layer: str | None = None) -> Explanation:
    """Return the Grad-CAM of a video, by MMAction2's implementation.

    Args:
        file: A checkpoint; exported files have no gradients.
        video: A video file.
        config: The config of the checkpoint, as `read_config` returns it; by default the one that it stores.
        layer: A name in `recognizer.named_modules()`; by default the last layer of the backbone whose output is a map
            of the frames.

    Raises:
        UserError: There is no such file or layer, or the network has no map of the frames.
    """
    file = Path(file).expanduser()
    if TorchEngine.name not in ENGINES_BY_SUFFIX.get(file.suffix, ()):
        raise UserError(f'{file} has no gradients. Name the checkpoint that it was exported from.')
    network, metadata = load_network(file, config)
    recognizer = network.recognizer.requires_grad_(True)
    try:
        clip = FramePipeline(metadata.pipeline).of_video(Path(video).expanduser(), DecodingProcess())
    except (OSError, ValueError) as error:
        raise UserError(f'{video} cannot be decoded ({shorten(error)}). Copy or convert it again.') from None
    layer = find_layer(recognizer, clip, layer)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of hooks, which are MMAction2's
            blended, scores = GradCAM(recognizer, layer.replace('.', '/'))(_batch(clip))
    except Exception as error:  # networks raise errors of any type
        raise UserError(
            f'--layer {layer}: its gradient is no map of the frames ({shorten(error)}). Name another layer.'
        ) from error
    probabilities = scores.detach()[0].softmax(0)
    best = int(probabilities.argmax())
    pictures = (255 * blended).round().clamp(0, 255).to(torch.uint8).numpy()
    return Explanation(metadata.classes[best], float(probabilities[best]), layer, pictures)


def find_layer(recognizer: nn.Module, clip: Tensor, wanted: str | None = None) -> str:
    """Return the name of the last layer of the backbone whose output is a map of the frames, or check another one.

    Args:
        recognizer: A recognizer in evaluation mode.
        clip: Packed frames of one clip.
        wanted: The name of a layer to check.

    Raises:
        UserError: There is no such layer, or its output is not a map of the frames.
    """
    modules = dict(recognizer.named_modules())
    maps: dict[str, Tensor] = {}  # in the order of the forward pass, each inner layer before the layers around it
    shapes: dict[str, Any] = {}

    def keep(name: str, output: Any) -> None:
        shapes[name] = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        maps.pop(name, None)
        if isinstance(output, Tensor) and _is_map(output, clip, isinstance(recognizer, Recognizer2D)):
            maps[name] = output

    hooks = [
        module.register_forward_hook(lambda module, inputs, output, name=name: keep(name, output))
        for name, module in modules.items()
        if name == wanted or name.partition('.')[0] == 'backbone'
    ]
    with torch.no_grad():
        recognizer.test_step(_batch(clip))
    for hook in hooks:
        hook.remove()
    if wanted and wanted not in maps:
        if wanted not in modules:
            near = similar_names(wanted, modules) or ['backbone']
            raise UserError(f'--layer {wanted}: the network has no such layer. Similar names are {", ".join(near)}.')
        output = f'is {shapes[wanted]}' if wanted in shapes else 'is not used'
        raise UserError(f'--layer {wanted}: its output {output}, and no map of the frames. Leave --layer out.')
    if not maps:
        raise UserError(
            f'{type(recognizer.backbone).__name__} has no layer whose output is a map of the frames. Explain a network '
            'of convolutions.'
        )
    last = list(maps.values())[-1]
    names = [name for name, output in maps.items() if output is last]
    # The backbone returns the output of its last layer, which is named instead, if it does not change its layout.
    return wanted or [name for name in names if name != 'backbone' or len(names) == 1][-1]


def _is_map(output: Tensor, clip: Tensor, of_frames: bool) -> bool:
    """Return whether an output is `(N * T, C, H, W)`, or `(N, C, T, H, W)`, of height and width like the frames'."""
    if output.ndim != clip.ndim or min(output.shape[-2:]) < 2:
        return False
    if len(clip) % len(output) if of_frames else len(clip) != len(output) or output.shape[2] > clip.shape[2]:
        return False  # such as a map for each head of an attention
    height, width = (size / reduced for size, reduced in zip(clip.shape[-2:], output.shape[-2:], strict=True))
    return min(height, width) >= 1 and max(height, width) / min(height, width) < ASPECT_TOLERANCE


def _batch(clip: Tensor) -> dict[str, list]:
    return {'inputs': [clip], 'data_samples': [ActionDataSample()]}


def write_explanation(explanation: Explanation, out: Path) -> None:
    """Write the frames as a video, two per second, or as a strip, by the suffix in `FORMATS`.

    Raises:
        UserError: The file cannot be written.
    """
    check_file(out, '--explain')
    if out.suffix.lower() == '.png':
        strip = np.concatenate([np.concatenate(list(view), axis=1) for view in explanation.pictures], axis=0)
        write_atomically(out, cv2.imencode('.png', strip[..., ::-1])[1].tobytes())
        return
    caption = Caption(explanation.label, explanation.probability)
    with VideoAnnotator(out, FRAMES_PER_SECOND) as annotator:
        for picture in explanation.pictures.reshape(-1, *explanation.pictures.shape[2:]):
            annotator.write(draw(np.ascontiguousarray(picture[..., ::-1]), caption))
