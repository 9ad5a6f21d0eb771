"""Networks on the same terms: the first config says which, each of the others keeps its network and its sampling."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...benchmark.benchmark_record import Benchmark, ModelCosts
from ...config.dataset_building import build_without_videos
from ...config.loading import LOADERS, config_name, dataset_of, datasets, read_config, use_clip, use_epochs
from ...datasets.transforms.frame_store import reads_flow
from ...datasets.transforms.pipeline_inspection import frames_per_image
from ...evaluation.result import Result
from ...utils.errors import UserError
from ..scheduling.job import Job

# What a config takes over from the first one; of the loaders all but what its own network needs of their pipelines.
TERMS = (
    'decoder',
    'split',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'val_evaluator',
    'test_evaluator',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'randomness',
    'default_hooks',
    'augmentation',
)
OWN_STEPS = ('Sample', 'Resize', 'Format')  # by the beginnings of their names


@dataclass(frozen=True)
class Budget:
    """What each network may spend on its training: the same epochs, or about the same minutes."""

    epochs: int | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, text: str) -> 'Budget':
        """Return the budget that `epochs=N` or `minutes=M` means.

        Raises:
            UserError: It means none.
        """
        match = re.fullmatch(r'epochs=([1-9]\d*)|minutes=(\d+(?:\.\d+)?)', text)
        if not match or (match[2] and not float(match[2])):
            raise UserError(f'--budget {text}: give epochs=N or minutes=M, above 0')
        return cls(epochs=int(match[1])) if match[1] else cls(minutes=float(match[2]))


def on_same_terms(
    files: Sequence[str],
    work_dir: Path,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    own_input: bool = False,
    pretrained: bool = False,
) -> list[Config]:
    """Return the configs of networks to compare, all with the first one's data, split, schedule and augmentation.

    Args:
        files: The configs; the first is the reference.
        work_dir: Where the others are written as they result, in `configs/`, and each gets a folder of its own.
        data_root: The folder of the manifest; by default the reference's.
        options: Of the command line, which change the reference.
        protocol: A name in `PROTOCOLS`; by default the reference's.
        own_input: Let networks keep the frames and pixels of their own configs; otherwise they take the reference's,
            as far as they can be changed; see `use_clip`.
        pretrained: Add those that have published weights a second time, starting from them, as `NAME_pretrained`.

    Raises:
        UserError: A config is named twice, cannot be read, is of no network for video clips, or of one that cannot take
            the reference's frames and pixels.
    """
    names = [config_name(file) for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f'{", ".join(twice)}: named more than once, a comparison has each network once')
    options = {**(options or {}), **({'split.protocol': protocol} if protocol else {})}
    reference = read_config(files[0], data_root=data_root, options=options)
    _check_takes_clips(reference)
    root = build_without_videos(reference, 'train_dataloader').data_root  # and the demo set is drawn, if need be
    configs = [_written(reference, work_dir)]
    for file in files[1:]:
        config = read_config(file, data_root=root)
        _check_takes_clips(config)
        try:
            _take_terms(config, configs[0], own_input)
        except UserError as error:
            reason = f'{file} cannot be compared with {files[0]}: {error}'
            raise UserError(f'{reason}; leave it out, or use --own-input') from None
        configs.append(_written(config, work_dir))
        if pretrained and config.get('pretrained_weights'):
            config.pretrained = True
            configs.append(_written(config, work_dir, f'{config_name(file)}_pretrained'))
    return configs


def _check_takes_clips(config: Config) -> None:
    """Raise a UserError unless the network learns from frames of video clips, and from nothing else."""
    if config.train_cfg.get('other_loaders') or not _own_steps(config, 'train_dataloader')['Resize']:
        raise UserError(f'{config.filename} cannot be compared: it does not learn from video clips alone; leave it out')
    pipeline = dataset_of(config, 'train_dataloader').pipeline
    if reads_flow(pipeline) or frames_per_image(pipeline) > 1:
        raise UserError(
            f'{config.filename} cannot be compared: it sees motion, and the terms are about frames; use '
            'tools/train.py, and tools/fuse.py to set its result beside others'
        )


def _take_terms(config: Config, reference: Config, own_input: bool) -> None:
    """Give a config the terms of the reference; the network's own steps of the pipelines stay."""
    # What a network's own sampling does not go with, such as RandomSpan with neighbouring frames, stays left out.
    left_out = {name: None for name, step in (config.get('augmentation') or {}).items() if step is None}
    for loader in LOADERS:
        if not reference.get(loader):
            config[loader] = None
            continue
        own = _own_steps(config, loader if config.get(loader) else 'test_dataloader')
        config[loader] = copy.deepcopy(reference[loader])
        *_, dataset = datasets(config, (loader,))
        theirs = _own_steps(config, loader)
        for kind in OWN_STEPS:
            if len(own[kind]) != len(theirs[kind]):
                raise UserError(f'{len(own[kind])} steps {kind}* in its pipeline, {len(theirs[kind])} in the other')
        kept = {id(their): step for kind in OWN_STEPS for their, step in zip(theirs[kind], own[kind], strict=True)}
        dataset.pipeline = [kept.get(id(step), step) for step in dataset.pipeline]
    for name in TERMS:
        if name in reference:
            config[name] = copy.deepcopy(reference[name])
        else:
            config.pop(name, None)
    if config.get('augmentation'):
        config.augmentation.update(left_out)
    if not own_input:
        _take_clip(config, reference)


def _own_steps(config: Config, loader: str) -> dict[str, list[dict]]:
    """Return the steps of a pipeline that belong to the network, by kind and in their order."""
    *_, dataset = datasets(config, (loader,))
    steps = dataset.get('pipeline', [])
    return {kind: [step for step in steps if step['type'].startswith(kind)] for kind in OWN_STEPS}


def _take_clip(config: Config, reference: Config) -> None:
    """Give a config frames and pixels of the reference, as far as both have them to change."""
    own, theirs = config.get('clip'), reference.get('clip') or {}
    if not own:
        return
    config.clip = {name: theirs.get(name, value) for name, value in own.items()}
    if 'frames' not in own and 'frames' in theirs and 'size' in theirs:
        # As many pixels in all, where the network takes no other number of frames.
        (sampling,) = _own_steps(config, 'train_dataloader')['Sample']
        config.clip['size'] = max(
            16, 16 * round(theirs['size'] * (theirs['frames'] / sampling['clip_len']) ** 0.5 / 16)
        )
    use_clip(config, own)
    config.options.update({f'clip.{name}': value for name, value in config.clip.items()})


def within_budget(configs: Sequence[Config], budget: Budget, benchmark: Benchmark, work_dir: Path) -> list[Config]:
    """Return the configs with the epochs that the budget allows, which their schedules follow.

    Of minutes, those of an epoch are estimated from what was measured; a network that has a result keeps its epochs.

    Raises:
        UserError: A config does not train by epochs.
    """
    clips = [len(build_without_videos(configs[0], loader)) for loader in ('train_dataloader', 'test_dataloader')]
    allowed = []
    for config, costs in zip(copy.deepcopy(list(configs)), benchmark.models, strict=True):
        epochs = budget.epochs
        if budget.minutes:
            workers = config.train_dataloader.num_workers
            epochs = max(1, int(60 * budget.minutes / epoch_seconds(costs, *clips, workers, benchmark.device)))
            result = Path(config.work_dir, 'result.json')
            epochs = Result.load(result).protocol.epochs if result.exists() else epochs
        if epochs:
            config.options['train_cfg.max_epochs'] = epochs
            use_epochs(config, epochs)
            config = _written(config, work_dir)
        allowed.append(config)
    return allowed


def epoch_seconds(costs: ModelCosts, train_clips: int, test_clips: int, workers: int, device: str) -> float:
    """Estimate the seconds of an epoch and the look at the test clips after it.

    Decoding goes on beside a GPU; on a CPU it takes its share of the same cores.
    """
    network_s = train_clips / costs.train_clips_per_second + test_clips * costs.forward['8'].median_ms / 8 / 1000
    decoding_s = (train_clips + test_clips) * (costs.data.median_ms if costs.data else 0) / 1000 / max(1, workers)
    return max(network_s, decoding_s) if device == 'cuda' else network_s + decoding_s


def _written(config: Config, work_dir: Path, name: str | None = None) -> Config:
    """Write a config as it resulted, and return what is read from there, as every process of it will."""
    name = name or config_name(config.filename)
    file = work_dir / 'configs' / f'{name}.py'
    file.parent.mkdir(parents=True, exist_ok=True)
    config.dump(file)
    *_, dataset = datasets(config, ('train_dataloader',))
    return read_config(file, str(work_dir / name), dataset.get('data_root'), config.options)


def jobs_of(configs: Sequence[Config]) -> list[Job]:
    """Return the jobs of configs, each in its own work directory."""
    return [Job.of(config, config_name(config.filename), Path(config.work_dir)) for config in configs]
