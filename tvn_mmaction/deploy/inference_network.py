"""A trained recognizer as one function from frames to scores, with what its checkpoint says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmaction.models import ActionDataPreprocessor, Recognizer2D, Recognizer3D
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..config.checkpoint_config import read_static_config
from ..config.loading import dataset_of, use_class_count
from ..datasets.transforms.frame_pipeline import dummy_inputs, with_decoder
from ..evaluation.provenance import environment
from ..utils.checkpoints import load_from_local, state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.console import warn
from ..utils.errors import UserError, shorten
from ..utils.io import sha256_of
from .metadata import ModelMetadata, check_classes, check_registered

INITIALISATION = ('init_cfg', 'pretrained')  # arguments of models that draw or fetch weights


class Normalisation(nn.Module):
    """Subtracts a mean from pixels and divides them by a standard deviation, both `(C, 1, 1)` or `(C, 1, 1, 1)`."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer('mean', mean.clone())
        self.register_buffer('std', std.clone())

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels in 0 to 255 to what the network was trained on, in the same shape."""
        return (pixels - self.mean) / self.std


class InferenceNetwork(nn.Module):
    """From packed frames to scores whose softmax is what the recognizer's test answers.

    Args:
        recognizer: A `Recognizer2D` or `Recognizer3D`, put into evaluation mode.
        clip: The packed frames of one clip, in whose shape all others come.

    Raises:
        UserError: The recognizer takes something else than RGB frames.
    """

    def __init__(self, recognizer: nn.Module, clip: Tensor):
        super().__init__()
        if not isinstance(recognizer, (Recognizer2D, Recognizer3D)):
            raise UserError(f'{type(recognizer).__name__} takes more than RGB frames: it cannot be deployed')
        preprocessor = recognizer.data_preprocessor
        if type(preprocessor) is not ActionDataPreprocessor or preprocessor.to_rgb:
            raise UserError(
                f'{type(preprocessor).__name__} does more than normalise RGB frames: such a network cannot be deployed'
            )
        self.recognizer = recognizer
        # A network that was trained on pixels as they are has neither mean nor std.
        normalises = hasattr(preprocessor, 'mean')
        self.normalisation = Normalisation(preprocessor.mean, preprocessor.std) if normalises else nn.Identity()
        self.train(False)
        with torch.no_grad():
            self.views = len(self._scores_of_views(clip[None]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `(N, frames, 3, H, W)` or `(N, views, 3, T, H, W)`, RGB in 0 to 255, to `(N, classes)`."""
        scores = self._scores_of_views(inputs)
        if self.views == 1:
            return scores
        scores = scores.unflatten(0, (-1, self.views))
        if self.recognizer.cls_head.average_clips == 'prob':
            return scores.softmax(2).mean(1).log()
        return scores.mean(1)

    def _scores_of_views(self, inputs: Tensor) -> Tensor:
        features, arguments = self.recognizer.extract_feat(self.normalisation(inputs.float()), test_mode=True)
        return self.recognizer.cls_head(features, **arguments)


def load_network(checkpoint: Path, config: Config | None = None) -> tuple[InferenceNetwork, ModelMetadata]:
    """Return the network of a checkpoint and its description; no code in the file is run.

    It is the full network; that early exits which a checkpoint has thresholds for are left out is told.

    Args:
        checkpoint: Weights that MMEngine wrote.
        config: As `read_config` returns it; by default the one that the checkpoint keeps.

    Raises:
        UserError: The checkpoint is missing, could run code, or does not fit the config.
    """
    loaded = read_checkpoint(checkpoint)
    meta = loaded.get('meta', {})
    if config is None:
        if not meta.get('cfg'):
            raise UserError(f'{checkpoint} does not keep its config: name the one that it was trained with')
        config = read_static_config(meta['cfg'], checkpoint)
        if not all(isinstance(config.get(name), dict) for name in ('model', 'test_dataloader')):
            raise UserError(f'{checkpoint} keeps a config without model or test: name the one that it was trained with')
        check_registered(without_initialisation(config.model.to_dict()), MODELS, checkpoint)
        check_registered(deployed_pipeline(config), TRANSFORMS, checkpoint)
    recognizer = build_recognizer(loaded, config, checkpoint)
    pipeline = deployed_pipeline(config)
    try:
        clip = dummy_inputs(pipeline)
    except Exception as error:  # what a config names fails in every way there is
        raise UserError(
            f'{checkpoint}: the pipeline of its test makes no inputs of a video: {shorten(error)}; name the config '
            'that it was trained with'
        ) from None
    if 'calibration' in meta:
        warn(
            f'{checkpoint} has thresholds for early exits, which tools/test.py --budget alone uses: everywhere else '
            'each video takes the full network'
        )
    network = InferenceNetwork(recognizer, clip)
    return network, ModelMetadata(
        name=Path(config.filename or config.get('work_dir') or checkpoint).stem,
        classes=[str(name) for name in classes_in(meta) or range(recognizer.cls_head.num_classes)],
        pipeline=pipeline,
        input_shape=list(clip.shape),
        precision='fp32',
        provenance={
            'checkpoint': checkpoint.name,
            'checkpoint_sha256': sha256_of(checkpoint),
            'epoch': meta.get('epoch'),
            'training': {name: value for name, value in meta.get('training', {}).items() if name != 'history'},
            'environment': environment(config, 'cpu'),
        },
    )


def read_checkpoint(checkpoint: Path) -> Mapping[str, Any]:
    """Return what a checkpoint holds, `state_dict` and perhaps `meta`; no code in it is run.

    Raises:
        UserError: It is missing, could run code, or is none of MMEngine.
    """
    loaded = load_from_local(str(checkpoint), map_location='cpu')
    if not isinstance(loaded, Mapping) or 'state_dict' not in loaded:
        raise UserError(f'{checkpoint} is no checkpoint of MMEngine: it has no state_dict')
    return loaded


def classes_in(meta: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the classes that a checkpoint's `meta` has, None where it has none."""
    return (meta.get('dataset_meta') or {}).get('classes')


def build_recognizer(loaded: Mapping[str, Any], config: Config, checkpoint: Path) -> nn.Module:
    """Return the model of a config with the weights of a checkpoint.

    Args:
        loaded: What `read_checkpoint` returned.
        config: Which gets as many classes as the checkpoint names.
        checkpoint: Where it was read, for errors.

    Raises:
        UserError: The model cannot be built, or the weights are of another one.
    """
    if classes := classes_in(loaded.get('meta', {})):
        check_classes(classes, checkpoint)
        use_class_count(config, len(classes))
    with explain_config_errors(config, config.filename or checkpoint), DefaultScope.overwrite_default_scope('mmaction'):
        recognizer = MODELS.build(without_initialisation(config.model.to_dict()))
    try:
        recognizer.load_state_dict(loaded['state_dict'])
    except RuntimeError as error:
        raise UserError(
            f'{checkpoint} does not fit the model of its config: {shorten(state_dict_mismatch(error))}; name the one '
            'that it was trained with'
        ) from None
    return recognizer


def deployed_pipeline(config: Config) -> list[dict[str, Any]]:
    """Return the steps of a config's test from a video file on, also where the test reads a frame store."""
    return with_decoder([step.to_dict() for step in dataset_of(config, 'test_dataloader').pipeline])


def without_initialisation(part: Any) -> Any:
    """Return a model's config without what would draw or fetch weights."""
    if isinstance(part, Mapping):
        kept = {name: value for name, value in part.items() if name not in INITIALISATION}
        return {name: without_initialisation(value) for name, value in kept.items()}
    return [without_initialisation(value) for value in part] if isinstance(part, list) else part
