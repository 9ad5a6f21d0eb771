"""Feature extraction: the output of a layer of a trained network for every clip of a split, one file per clip."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..checks.checkpoint_match import check_input
from ..config.dependencies import foreign_training, upstream_models
from ..config.loaders import build_dataset, dataset_of
from ..config.loading import config_name
from ..datasets.fault_tolerant_loader import FaultTolerantDataLoader, FaultTolerantDataset, name_of_clip
from ..datasets.transforms.load_features import HEAD_INPUT, RECORD_NAME, FeatureRecord, file_of
from ..datasets.transforms.standalone_pipeline import dummy_inputs
from ..deploy.inference_network import build_recognizer, read_checkpoint
from ..engine.terminal_runner import BROKEN_CLIPS
from ..evaluation.costs import macs_per_video
from ..utils.console import only_errors, progress_bar
from ..utils.errors import UserError, shorten
from ..utils.io import folder_lock, remove_half_written, sha256_of, write_atomically
from ..utils.output_paths import check_overwrites
from ..utils.similar_names import similar_names


class Extracted(NamedTuple):
    """Result of `extract_features`."""

    record: FeatureRecord
    new: int  # clips whose features were extracted by this call
    broken: dict[str, str]  # clips that cannot be read, with reasons


def extract_features(config: Config, checkpoint: Path, folder: Path, layer: str = HEAD_INPUT) -> Extracted:
    """Write the features of all train and test clips of a config's split; existing ones are kept.

    They are float32 `(T, C)` of clips sampled as in the config's test; see `LayerFeatures`.

    Args:
        config: Returned by `read_config`; its data set provides the SHA-256 of clips, as `UCF50Dataset` does.
        checkpoint: The weights.
        folder: For the features and `features.json`.
        layer: A name in the network.

    Raises:
        UserError: The checkpoint is missing, of another network, or was trained on another input; the network has no
            such layer, or its output is no features; or the folder contains other features.
    """
    clips = SplitClips(config)
    loaded = read_checkpoint(checkpoint)
    check_input(config, checkpoint, loaded.get('meta', {}))
    with only_errors():
        recognizer = build_recognizer(loaded, config, checkpoint)
    network = LayerFeatures(recognizer.to('cuda' if torch.cuda.is_available() else 'cpu'), layer)
    meta = loaded.get('meta', {})
    training = {name: value for name, value in meta.get('training', {}).items() if name != 'history'}
    pipeline = dataset_of(config, 'test_dataloader').pipeline
    upstream = upstream_models(pipeline)
    if foreign_training(pipeline, training.get('train_list_sha256')):
        training['train_list_sha256'] = None  # several lists
    steps, channels = network(dummy_batch(pipeline)).shape[1:]
    record = FeatureRecord(
        network=config_name(config.filename),
        checkpoint=checkpoint.name,
        checkpoint_sha256=sha256_of(checkpoint),
        layer=layer,
        steps=steps,
        channels=channels,
        test_pipeline=[step.to_dict() for step in pipeline],
        clips=len(clips),
        parameters=sum(parameter.numel() for parameter in recognizer.parameters())
        + sum(model.parameters for model in upstream),
        macs=macs_per_video(config),
        trained={'epoch': meta.get('epoch'), 'seed': meta.get('seed'), 'training': training},
    )
    with folder_lock(folder, option='--out-dir'):
        remove_half_written(folder)
        _check_existing(folder, record)
        record.save(folder)
        missing = [index for index, sha256 in enumerate(clips.digests) if not file_of(folder, sha256).is_file()]
        broken = _extract(network, clips, missing, folder, config)
    return Extracted(record, len(missing) - len(broken), broken)


def _check_existing(folder: Path, record: FeatureRecord) -> None:
    """Check that the features in a folder were extracted in the same way."""
    file = Path(folder, RECORD_NAME)
    if file.is_file():
        FeatureRecord.load(folder)  # refuses those of another release
        same = {name: getattr(record, name) for name in ('network', 'checkpoint_sha256', 'layer', 'test_pipeline')}
        check_overwrites(file, same, '--out-dir')


def _extract(
    network: 'LayerFeatures', clips: 'SplitClips', missing: list[int], folder: Path, config: Config
) -> dict[str, str]:
    """Write the features of some clips, and return the clips that cannot be read, with reasons."""
    clips.chosen = missing
    loader = config.test_dataloader
    batches = DataLoader(clips, loader.batch_size, num_workers=loader.num_workers, collate_fn=pseudo_collate)
    limit_s = config.get('broken_clips', BROKEN_CLIPS)['time_limit_s']
    loaded = FaultTolerantDataLoader(batches, FaultTolerantDataset(clips, True, limit_s), seed=0) if missing else []
    broken, done = {}, 0
    with only_errors(), progress_bar() as progress:
        task = progress.add_task('extracting', total=len(clips.digests), completed=len(clips.digests) - len(missing),
                                 status='')  # fmt: skip
        for batch in loaded:
            samples = list(batch['data_samples'])
            for place, (sample, features) in enumerate(zip(samples, network(batch).numpy(), strict=True), start=done):
                name = name_of_clip(clips, place)
                if reasons := getattr(sample, 'broken_clips', None):
                    broken[name] = reasons[place]
                    continue
                if not np.isfinite(features).all():
                    raise UserError(
                        f'{network.layer} gives NaN or infinite values for {name}, so its weights are broken. Use an '
                        'earlier checkpoint.'
                    )
                buffer = io.BytesIO()
                np.save(buffer, features)
                write_atomically(file_of(folder, clips.digests[missing[place]]), buffer.getvalue())
            done += len(samples)
            progress.update(task, advance=len(samples), status=name)
    return broken


class SplitClips(Dataset):
    """The train and test clips of a config's split, each content once, sampled as in the test.

    Args:
        config: Returned by `read_config`.

    Raises:
        UserError: The clips are missing, or their data set does not provide their SHA-256.
    """

    def __init__(self, config: Config):
        self.datasets: list[BaseDataset] = []
        self.places: dict[str, tuple[int, int]] = {}
        if 'subset' not in dataset_of(config, 'test_dataloader'):
            kind = dataset_of(config, 'test_dataloader').type
            raise UserError(
                f'{config.filename}: features are stored by the SHA-256 of clips, which {kind} does not provide. Use '
                'UCF50Dataset.'
            )
        for number, subset in enumerate(('train', 'test')):  # which include `fit` and `validation`
            dataset = build_dataset(config, 'test_dataloader', subset=subset, ann_file='')
            self.datasets.append(dataset)
            for index in range(len(dataset)):
                self.places.setdefault(dataset.get_data_info(index)['sha256'], (number, index))
        self.digests = list(self.places)
        self.chosen = list(range(len(self.digests)))  # those that a loader reads

    @property
    def metainfo(self) -> dict[str, Any]:
        """The metainfo of the data set."""
        return self.datasets[0].metainfo

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Return the information of a clip in the data set."""
        number, place = self._place(index)
        return self.datasets[number].get_data_info(place)

    def _place(self, index: int) -> tuple[int, int]:
        return self.places[self.digests[self.chosen[index]]]

    def __len__(self) -> int:
        """Return the number of chosen clips."""
        return len(self.chosen)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a packed clip."""
        number, place = self._place(index)
        return self.datasets[number][place]


class LayerFeatures:
    """A trained recognizer up to a layer: from packed clips to features `(N, T, C)`, in evaluation mode.

    Height and width, or tokens, are averaged. Frames in the batch axis and views become steps along time. If a layer
    has several outputs, as the two paths of SlowFast, their channels are concatenated, averaged over time if their
    lengths differ.

    Args:
        recognizer: Any recognizer of MMAction2 and of this package.
        layer: A name in `recognizer.named_modules()`, whose output is used; or `HEAD_INPUT`.

    Raises:
        UserError: There is no such layer; or, when called, the layer does not run exactly once per batch, or its output
            is no features.
    """

    def __init__(self, recognizer: nn.Module, layer: str = HEAD_INPUT):
        modules = dict(recognizer.named_modules())
        if layer == HEAD_INPUT:
            recognizer.cls_head.register_forward_pre_hook(lambda module, inputs: self._keep(inputs[0]))
        elif layer and layer in modules:
            modules[layer].register_forward_hook(lambda module, inputs, output: self._keep(output))
        else:
            near = similar_names(layer, modules) or ['backbone']
            raise UserError(f'--layer {layer}: the network has no such layer. Similar names are {", ".join(near)}.')
        recognizer.train(False)
        self.recognizer, self.layer = recognizer, layer

    def _keep(self, output: Any) -> None:
        # At once, since the next layers may work in place.
        self.kept.append(pooled(output, self.clips, self.layer))

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, list]) -> Tensor:
        """Return the features of a batch of packed clips, on the CPU."""
        self.kept: list[Tensor] = []
        self.clips = len(batch['inputs'])
        with DefaultScope.overwrite_default_scope('mmaction'):
            self.recognizer.test_step(batch)
        if len(self.kept) != 1:
            raise UserError(
                f'--layer {self.layer}: the layer runs {len(self.kept)} times per batch. Name one that runs once.'
            )
        return self.kept[0].float().cpu()


def pooled(output: Any, clips: int, layer: str = 'the layer') -> Tensor:
    """Return the output of a layer for some clips as features `(clips, T, C)`.

    Args:
        output: `(N, C, T, H, W)`, `(N, C, H, W)`, tokens `(N, L, C)`, `(N, C)`, or several of them, where N is a
            multiple of `clips`, clip by clip.
        clips: Their number.
        layer: Name of the layer, for errors.

    Raises:
        UserError: The output has another shape.
    """
    if isinstance(output, (list, tuple)) and output:
        parts = [pooled(part, clips, layer) for part in output]
        if len({part.shape[1] for part in parts}) > 1:
            parts = [part.mean(1, keepdim=True) for part in parts]
        return torch.cat(parts, dim=2)
    if not isinstance(output, Tensor) or not 2 <= output.ndim <= 5 or len(output) % clips:
        what = f'of shape {tuple(output.shape)}' if isinstance(output, Tensor) else f'a {type(output).__name__}'
        raise UserError(f'--layer {layer}: its output for {clips} clips is {what}, which is no features. Name another.')
    if output.ndim == 5:
        steps = output.mean((3, 4)).transpose(1, 2)
    elif output.ndim == 4:
        steps = output.mean((2, 3))[:, None]
    else:
        steps = output.mean(1, keepdim=True) if output.ndim == 3 else output[:, None]
    return steps.unflatten(0, (clips, -1)).flatten(1, 2)


def dummy_batch(pipeline: Any) -> dict[str, list]:
    """Return a batch of one black clip, packed by a test pipeline.

    Raises:
        UserError: The pipeline does not turn videos into inputs.
    """
    try:
        clip = dummy_inputs(pipeline)
    except Exception as error:  # any step of a config may fail in any way
        raise UserError(
            f'the pipeline of test_dataloader makes no inputs of a video ({shorten(error)}). Name the config of a '
            'network of clips.'
        ) from None
    return {'inputs': [clip], 'data_samples': [ActionDataSample()]}
