"""Training of several networks on equal terms: those of the first config, with the others' own network and sampling."""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...benchmark.benchmark_record import Benchmark, ModelCosts
from ...config.loaders import LOADERS, build_without_videos, dataset_of, datasets
from ...config.loading import config_name, read_config
from ...config.variables import use_epochs
from ...datasets.transforms.frame_store import reads_flow
from ...datasets.transforms.pipeline_inspection import frames_per_image
from ...evaluation.result import Result
from ...utils.errors import UserError
from ..scheduling.job import Job

# Variables that all configs take from the first one, in addition to the loaders without the steps of OWN_STEPS.
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
OWN_STEPS = ('Sample', 'Resize', 'Format')  # prefixes of the pipeline steps that a config keeps


@dataclass(frozen=True)
class TrainBudget:
    """Limit of each training: the same epochs, or about the same minutes."""

    epochs: int | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, text: str) -> 'TrainBudget':
        """Return the budget `epochs=N` or `minutes=M`."""
        match = re.fullmatch(r'epochs=([1-9]\d*)|minutes=(\d+(?:\.\d+)?)', text)
        if not match or (match[2] and not float(match[2])):
            raise UserError(f'--train-budget {text} is not a budget. Give epochs=N or minutes=M, above 0.')
        return cls(epochs=int(match[1])) if match[1] else cls(minutes=float(match[2]))


def configs_on_equal_terms(
    files: Sequence[str],
    work_dir: Path,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    own_input: bool = False,
    pretrained: bool = False,
) -> list[Config]:
    """Return the configs of the networks to compare, all with the data, split, schedule and augmentation of the first.

    Args:
        files: Config files; the first is the reference.
        work_dir: Folder in which the resolved configs are saved, in `configs/`, and each network gets a subfolder.
        data_root: Folder of the manifest, by default that of the reference.
        options: Options of the command line, which change the reference.
        protocol: A name in `PROTOCOLS`, by default that of the reference.
        own_input: Keep the frames and pixels of the networks' own configs. Otherwise they take those of the reference,
            as far as they can be changed by `clip.frames` and `clip.size`.
        pretrained: Add the networks that have published weights a second time, initialised with them, as
            `NAME_pretrained`.

    Raises:
        UserError: A config is named twice, cannot be read, is not of a network for video clips, or cannot take the
            frames and pixels of the reference.
    """
    names = [config_name(file) for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f'{", ".join(twice)}: named more than once. Name each network once.')
    options = {**(options or {}), **({'split.protocol': protocol} if protocol else {})}
    reference = read_config(files[0], data_root=data_root, options=options)
    _check_takes_clips(reference)
    root = build_without_videos(reference, 'train_dataloader').data_root  # also draws the demo data set if needed
    configs = [_saved(reference, work_dir)]
    for file in files[1:]:
        config = read_config(file, data_root=root)
        _check_takes_clips(config)
        try:
            if not own_input:
                config = read_config(file, data_root=root, options=_clip_options(config, configs[0]))
            _take_terms(config, configs[0])
        except UserError as error:
            reason = f'{file} cannot be compared with {files[0]}: {error}'
            raise UserError(f'{reason} With --own-input, it keeps its own frames and pixels.') from None
        configs.append(_saved(config, work_dir))
        if pretrained and config.get('pretrained_weights'):
            config.pretrained = True
            configs.append(_saved(config, work_dir, f'{config_name(file)}_pretrained'))
    return configs


def _check_takes_clips(config: Config) -> None:
    """Raise a UserError unless the network is trained on frames of video clips, and on nothing else."""
    if config.train_cfg.get('other_loaders') or not _own_steps(config, 'train_dataloader')['Resize']:
        raise UserError(f'{config.filename} cannot be compared: it is not trained on video clips alone. Leave it out.')
    pipeline = dataset_of(config, 'train_dataloader').pipeline
    if reads_flow(pipeline) or frames_per_image(pipeline) > 1:
        raise UserError(
            f'{config.filename} cannot be compared: it reads motion, and the terms are about frames. Train it with '
            'tools/train.py, and compare its result with others using tools/compare.py fuse.'
        )


def _take_terms(config: Config, reference: Config) -> None:
    """Give a config the terms of the reference, and keep the pipeline steps of its own network."""
    # Steps that a network's sampling excludes, such as RandomSpan with neighbouring frames, stay excluded.
    excluded = {name: None for name, step in (config.get('augmentation') or {}).items() if step is None}
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
                raise UserError(
                    f'its pipeline has {len(own[kind])} steps {kind}*, and the other one {len(theirs[kind])}. Leave it '
                    'out.'
                )
        kept = {id(their): step for kind in OWN_STEPS for their, step in zip(theirs[kind], own[kind], strict=True)}
        dataset.pipeline = [kept.get(id(step), step) for step in dataset.pipeline]
    for name in TERMS:
        if name in reference:
            config[name] = copy.deepcopy(reference[name])
        else:
            config.pop(name, None)
    if config.get('augmentation'):
        config.augmentation.update(excluded)


def _own_steps(config: Config, loader: str) -> dict[str, list[dict]]:
    """Return the steps of a pipeline that belong to the network, by prefix, in order."""
    *_, dataset = datasets(config, (loader,))
    steps = dataset.get('pipeline', [])
    return {kind: [step for step in steps if step['type'].startswith(kind)] for kind in OWN_STEPS}


def _clip_options(config: Config, reference: Config) -> dict[str, int]:
    """Return the options that give a config frames and size of the reference's clip, as far as both can change."""
    own, theirs = config.get('clip') or {}, reference.get('clip') or {}
    options = {f'clip.{name}': theirs[name] for name in ('frames', 'size') if name in own and name in theirs}
    if 'size' in own and 'frames' not in own and 'frames' in theirs and 'size' in theirs:
        # As many pixels in all if the network accepts no other number of frames.
        (sampling,) = _own_steps(config, 'train_dataloader')['Sample']
        share = theirs['frames'] / sampling['clip_len']
        options['clip.size'] = max(16, 16 * round(theirs['size'] * share**0.5 / 16))
    return options


def apply_train_budget(
    configs: Sequence[Config], budget: TrainBudget, measure: Callable[[], Benchmark], work_dir: Path
) -> list[Config]:
    """Return the configs with the epochs and schedules that fit into the budget.

    The minutes of an epoch are estimated from a benchmark, which is measured only for this. A network that has a result
    keeps its epochs.

    Raises:
        UserError: A config is not trained by epochs.
    """
    clips = [len(build_without_videos(configs[0], loader)) for loader in ('train_dataloader', 'test_dataloader')]
    allowed = []
    for number, config in enumerate(copy.deepcopy(list(configs))):
        epochs = budget.epochs
        result = Path(config.work_dir, 'result.json')
        if budget.minutes and result.exists():
            epochs = Result.load(result).protocol.epochs
        elif budget.minutes:
            costs, device = measure().models[number], measure().device
            workers = config.train_dataloader.num_workers
            epochs = max(1, int(60 * budget.minutes / epoch_seconds(costs, *clips, workers, device)))
        if epochs:
            config.options['train_cfg.max_epochs'] = epochs
            use_epochs(config, epochs)
            config = _saved(config, work_dir)
        allowed.append(config)
    return allowed


def epoch_seconds(costs: ModelCosts, train_clips: int, test_clips: int, workers: int, device: str) -> float:
    """Estimate the seconds of an epoch and its evaluation on the test clips.

    Decoding overlaps with the work of a GPU; on a CPU, both share the same cores.
    """
    network_s = train_clips / costs.train_clips_per_second + test_clips * costs.forward['8'].median_ms / 8 / 1000
    decoding_s = (train_clips + test_clips) * (costs.data.median_ms if costs.data else 0) / 1000 / max(1, workers)
    return max(network_s, decoding_s) if device == 'cuda' else network_s + decoding_s


def _saved(config: Config, work_dir: Path, name: str | None = None) -> Config:
    """Save a resolved config, and return it as each process of its job will read it."""
    name = name or config_name(config.filename)
    file = work_dir / 'configs' / f'{name}.py'
    file.parent.mkdir(parents=True, exist_ok=True)
    config.dump(file)
    *_, dataset = datasets(config, ('train_dataloader',))
    return read_config(file, str(work_dir / name), dataset.get('data_root'), config.options)


def jobs_of(configs: Sequence[Config]) -> list[Job]:
    """Return a job per config, in its work directory."""
    return [Job.from_config(config, config_name(config.filename), Path(config.work_dir)) for config in configs]
