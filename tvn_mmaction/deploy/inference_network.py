"""A trained recognizer as one module from frames to scores, with its metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmaction.models import ActionDataPreprocessor, Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..config.loaders import dataset_of, use_class_count
from ..datasets.class_names import classes_in
from ..datasets.transforms.standalone_pipeline import dummy_inputs, with_decoder
from ..evaluation.provenance import INITIAL_WEIGHTS, environment
from ..utils.checkpoints import load_from_local, read_static_config, state_dict_mismatch
from ..utils.config_errors import explain_config_errors
from ..utils.console import warn
from ..utils.errors import UserError, shorten
from ..utils.io import sha256_of
from .allowlist import bounded_building, check_model, check_pipeline
from .metadata import ModelMetadata


class Normalisation(nn.Module):
    """Normalisation of pixels by a mean and a standard deviation, both `(C, 1, 1)` or `(C, 1, 1, 1)`."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer('mean', mean.clone())
        self.register_buffer('std', std.clone())

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels in 0 to 255 to the normalised input of the network, in the same shape."""
        return (pixels - self.mean) / self.std


class InferenceNetwork(nn.Module):
    """A network from packed frames to scores; their softmax are the probabilities of the recognizer's test.

    Args:
        recognizer: A `Recognizer2D` or `Recognizer3D`, which is put into evaluation mode.
        clip: The packed frames of one clip; all clips have its shape.

    Raises:
        UserError: The recognizer's input is not RGB frames.
    """

    def __init__(self, recognizer: nn.Module, clip: Tensor):
        super().__init__()
        if not isinstance(recognizer, (Recognizer2D, Recognizer3D)):
            raise UserError(
                f'{type(recognizer).__name__} takes more than RGB frames and cannot be deployed. Use a Recognizer2D or '
                'Recognizer3D.'
            )
        preprocessor = recognizer.data_preprocessor
        if type(preprocessor) is not ActionDataPreprocessor or preprocessor.to_rgb:
            raise UserError(
                f'{type(preprocessor).__name__} does more than normalise RGB frames, so that the network cannot be '
                'deployed. Use ActionDataPreprocessor without to_rgb.'
            )
        self.recognizer = recognizer
        # A network trained on raw pixels has neither mean nor std.
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
    """Return the network of a checkpoint and its metadata; no code in the file is run.

    Always loads the full network. Warns if the checkpoint has early-exit thresholds, which are ignored.

    Args:
        checkpoint: A checkpoint of MMEngine.
        config: As `read_config` returns it; by default the one that the checkpoint stores.

    Raises:
        UserError: The checkpoint is missing, could run code, or does not fit the config.
    """
    loaded = read_checkpoint(checkpoint)
    meta = loaded.get('meta', {})
    if config is None:
        if not meta.get('cfg'):
            raise UserError(f'{checkpoint} does not store its config. Name the config that it was trained with.')
        config = read_static_config(meta['cfg'], checkpoint)
        if not all(isinstance(config.get(name), dict) for name in ('model', 'test_dataloader')):
            raise UserError(
                f'{checkpoint} stores a config without model or test. Name the config that it was trained with.'
            )
        check_model(without_initialisation(config.model.to_dict()), checkpoint)
        check_pipeline(deployed_pipeline(config), checkpoint)
        with bounded_building(checkpoint, len(loaded['state_dict'])):
            recognizer = build_recognizer(loaded, config, checkpoint)
    else:
        recognizer = build_recognizer(loaded, config, checkpoint)
    pipeline = deployed_pipeline(config)
    try:
        clip = dummy_inputs(pipeline)
    except Exception as error:  # whatever a config names may raise anything
        raise UserError(
            f'{checkpoint}: its test pipeline cannot process a video: {shorten(error)}. Name the config that it was '
            'trained with.'
        ) from None
    if 'calibration' in meta:
        warn(
            f'{checkpoint} has thresholds for early exits, which only tools/test.py --budget uses. Here, each video '
            'takes the full network.'
        )
    network = InferenceNetwork(recognizer, clip)
    return network, ModelMetadata(
        name=Path(config.filename or config.get('work_dir') or checkpoint).stem,
        classes=classes_in(meta, checkpoint) or [str(label) for label in range(recognizer.cls_head.num_classes)],
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
    """Return a checkpoint with its `state_dict` and usually `meta`; no code in it is run.

    Raises:
        UserError: The checkpoint is missing, could run code, or is not one of MMEngine.
    """
    loaded = load_from_local(str(checkpoint), map_location='cpu')
    if not isinstance(loaded, Mapping) or 'state_dict' not in loaded:
        raise UserError(f'{checkpoint} has no state_dict. Name a checkpoint of MMEngine.')
    return loaded


def build_recognizer(loaded: Mapping[str, Any], config: Config, checkpoint: Path) -> nn.Module:
    """Return the model of a config with the weights of a checkpoint, whose file is named in errors.

    The config's number of classes is set to that of the checkpoint.

    Raises:
        UserError: The model cannot be built, or the weights do not fit it.
    """
    if classes := classes_in(loaded.get('meta', {}), checkpoint):
        use_class_count(config, len(classes))
    with explain_config_errors(config, config.filename or checkpoint), DefaultScope.overwrite_default_scope('mmaction'):
        recognizer = MODELS.build(without_initialisation(config.model.to_dict()))
    try:
        recognizer.load_state_dict(loaded['state_dict'])
    except RuntimeError as error:
        raise UserError(
            f'{checkpoint} does not fit the model of its config: {shorten(state_dict_mismatch(error))}. Name the '
            'config that it was trained with.'
        ) from None
    return recognizer


def deployed_pipeline(config: Config) -> list[dict[str, Any]]:
    """Return the steps of a config's test pipeline for video files, even if the test reads a frame store."""
    return with_decoder([step.to_dict() for step in dataset_of(config, 'test_dataloader').pipeline])


def without_initialisation(part: Any) -> Any:
    """Return a model's config in which the arguments that initialise or download weights are None."""
    if isinstance(part, Mapping):  # None, since `ResNet3dCSN` requires one of them
        return {name: None if name in INITIAL_WEIGHTS else without_initialisation(part[name]) for name in part}
    return [without_initialisation(value) for value in part] if isinstance(part, list) else part
