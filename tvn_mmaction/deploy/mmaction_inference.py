"""MMAction2's own inference functions with configs and checkpoints of this package.

`mmaction.apis` does not resolve the variables of a config, and a checkpoint for another number of classes leaves its
classifier with random weights. `extend` lets its functions resolve configs of this package and take the classes of the
checkpoint, or refuse it.
"""

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmaction.apis
from mmaction.apis import inference
from mmaction.apis.inferencers import ActionRecogInferencer
from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.infer import infer
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint_to_model
from torch import nn

from ..config.loading import resolve
from ..datasets.class_names import check_same_classes, classes_in
from ..utils.console import silent
from ..utils.errors import UserError
from .inference_network import deployed_pipeline

PACKAGE = __name__.partition('.')[0]


def extend() -> None:
    """Extend `init_recognizer` and the inferencers of `mmaction.apis`; a second call changes nothing."""
    if inference.load_checkpoint is load_with_classes:
        return
    # By these names the functions find them when they run, also where they were imported before this package.
    inference.load_checkpoint = load_with_classes
    infer._load_checkpoint_to_model = load_into
    inference.init_recognizer = mmaction.apis.init_recognizer = _resolving(inference.init_recognizer)
    ActionRecogInferencer._init_model = _with_resolved_config(ActionRecogInferencer._init_model)
    ActionRecogInferencer.__init__ = _with_class_names(ActionRecogInferencer.__init__)


def load_with_classes(model: nn.Module, filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a checkpoint into a recognizer, which takes the classes of the checkpoint; see `load_into`."""
    return load_into(model, CheckpointLoader.load_checkpoint(str(filename), map_location), str(filename))


def load_into(model: nn.Module, checkpoint: dict[str, Any], source: str = 'the checkpoint') -> dict[str, Any]:
    """Load weights into a recognizer, whose classifier becomes as large as theirs.

    The attribute `dataset_meta` of the model then has the class names of the checkpoint, if it has any.

    Args:
        model: The recognizer.
        checkpoint: As loaded, with `state_dict` or of weights by name alone.
        source: Its file, for errors.

    Raises:
        UserError: Some weights of the network would keep random values.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint.get('meta'), Mapping) else {}
    classes = classes_in(meta, source)
    state = {name.removeprefix('module.'): value for name, value in checkpoint.get('state_dict', checkpoint).items()}
    _resize_classifier(model, state, len(classes))
    missing = [name for name, value in model.named_parameters() if getattr(state.get(name), 'shape', ()) != value.shape]
    if missing:
        raise UserError(
            f'{source} does not fit the model: {len(missing)} of its weights are missing or of another shape, such as '
            f'{missing[0]}. Name the config that the checkpoint was trained with.'
        )
    if classes:
        model.dataset_meta = {'classes': tuple(classes)}
    return _load_checkpoint_to_model(model, checkpoint)


def _resize_classifier(model: nn.Module, state: Mapping[str, Any], classes: int) -> None:
    """Give the layers of a classifier as many outputs as their weights have; `classes` is 0 if unknown."""
    head = getattr(model, 'cls_head', None)
    former = getattr(head, 'num_classes', None)
    for name, value in model.named_parameters():
        stored = state.get(name)
        if stored is None or stored.shape == value.shape or stored.shape[1:] != value.shape[1:]:
            continue
        if len(value) == former and len(stored) == (classes or len(stored)):
            value.data = value.data.new_empty(stored.shape)
            layer = model.get_submodule(name.rpartition('.')[0])
            if hasattr(layer, 'out_features'):
                layer.out_features = len(stored)
            for module in (head, *head.modules()):
                if getattr(module, 'num_classes', None) == former:
                    module.num_classes = len(stored)


def _resolve(config: Any) -> None:
    """Resolve a config of this package, in place."""
    if isinstance(config, Config) and PACKAGE in (config.get('custom_imports') or {}).get('imports', ()):
        with silent():  # the classes are those of the checkpoint, whatever the data
            resolve(config)
        config.test_pipeline = deployed_pipeline(config)


def _resolving(init_recognizer: Any) -> Any:
    @functools.wraps(init_recognizer)
    def init(config: str | Path | Config, checkpoint: str | None = None, device: Any = 'cuda:0') -> nn.Module:
        config = Config.fromfile(config) if isinstance(config, (str, Path)) else copy.deepcopy(config)
        _resolve(config)
        return init_recognizer(config, checkpoint, device)

    return init


def _with_resolved_config(init_model: Any) -> Any:
    @functools.wraps(init_model)
    def init(self: ActionRecogInferencer, cfg: Any, weights: str | None, device: str = 'cpu') -> nn.Module:
        _resolve(cfg)
        return init_model(self, cfg, weights, device)

    return init


def _with_class_names(init_inferencer: Any) -> Any:
    @functools.wraps(init_inferencer)
    def init(self: ActionRecogInferencer, *args: Any, **kwargs: Any) -> None:
        init_inferencer(self, *args, **kwargs)
        classes = getattr(self.model, 'dataset_meta', {}).get('classes')
        file = args[3] if len(args) > 3 else kwargs.get('label_file')
        if classes and file:
            remedy = 'Name the list of the training, or leave label_file out.'
            check_same_classes(file, list_from_file(file), 'the checkpoint', classes, remedy)
        elif classes and self.visualizer:
            self.visualizer.dataset_meta = {'classes': classes}

    return init
