"""From a config file and a command line to the config of a run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

from ..datasets.manifest import FILE_NAME, classes_of, read_manifest
from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..utils.checkpoints import newest_checkpoint
from ..utils.console import console
from ..utils.errors import UserError, shorten
from .augmentation_steps import use_augmentation
from .clip import check_clip, fixed_frames, follow_clip
from .decoder import use_decoder
from .dependencies import use_features, use_pretraining, use_selection, use_teachers
from .views import use_views

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PARTS_FILE = 'parts.yaml'  # of a folder of configs, see tools/ablate.py
NEEDED = ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator')
OF_SPLIT = r'.*\.dataset\.(protocol|fold|seed)'  # options in whose place the variable is to be changed
# Where a model has its number of classes.
CLASS_COUNTS = (
    'cls_head.num_classes',
    'cls_head.image_classes',
    'cls_head.video_classes',
    'neck.aux_head_cfg.out_channels',
    *(f'data_preprocessor.blending.augments.{number}.num_classes' for number in range(2)),  # MixUp and CutMix
)


def read_config(
    file: str | Path,
    work_dir: str | None = None,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config and settle where it writes, which data it reads, their split, decoder and number of classes.

    Args:
        file: The config.
        work_dir: Where to write; by default the config's own, or `work_dirs/NAME`.
        data_root: The folder of the manifest, for every data set of the config; by default its own.
        options: Values that replace the config's, by dotted name (`--cfg-options`).

    Raises:
        UserError: The config is not there or cannot be read, its data sets and its variable `split` name different
            protocols, or it has no data set with a `data_root` to replace.
    """
    file = Path(file)
    if not file.is_file():
        what = f'{file} is a folder' if file.is_dir() else f'no config at {file}'
        raise UserError(f'{what}; name a config, such as those of the package in configs/')
    try:
        return _read(file, work_dir, data_root, options or {})
    except UserError:
        raise
    except Exception as error:  # a config is Python, and its values may be anything: all can go wrong
        given = ' '.join(f'{name}={value}' for name, value in (options or {}).items())
        changed = f' with --cfg-options {shorten(given)}' if given else ''
        raise UserError(f'{file}{changed} cannot be read as a config: {shorten(error)}; correct it') from error


def _read(file: Path, work_dir: str | None, data_root: str | None, options: Mapping[str, Any]) -> Config:
    """See `read_config`."""
    config = Config.fromfile(file)
    given = {*config.keys(), 'load_from', 'resume', 'custom_hooks', 'find_unused_parameters', 'views', 'pretraining'}
    _check_split(config)
    own_augmentation = list(config.get('augmentation') or {})
    own_clip = dict(config.get('clip') or {})
    own_views = dict(config.get('views') or {})
    own_epochs = (config.get('train_cfg') or {}).get('max_epochs')
    _check_leaving_out(config, file, options)
    config.merge_from_dict(dict(options))
    missing = [name for name in NEEDED if not config.get(name)]
    if missing:
        raise UserError(
            f'{file} is only part of a config: it has no {", ".join(missing)}; name a whole one, or add what it lacks'
        )
    _use_pretrained(config, options)
    unknown = sorted({name.partition('.')[0] for name in options} - given)
    if unknown:
        on_features = 'clip' in unknown and config.get('features')
        length = ', and features.length sets the steps of its clips' if on_features else ''
        misnamed = [f'.{option}' for option in options if option.partition('.')[0] in unknown]
        known = {name: config[name] for name in sorted(given & set(config))}
        meant = [
            name
            for name in _dotted_names(known)
            if any(name.endswith(option) for option in misnamed) and not re.fullmatch(OF_SPLIT, name)
        ]
        cure = f'perhaps {" or ".join(meant)} is meant' if meant else f'it has {", ".join(sorted(given))}'
        raise UserError(f'--cfg-options {", ".join(unknown)}: {file} has no such variable{length}; {cure}')
    for name in options:
        if re.fullmatch(OF_SPLIT, name):
            raise UserError(f'--cfg-options {name}: use split.{name.rpartition(".")[2]}, which all data sets follow')
    config.options = dict(options)
    name = f'{config_name(file)}_pretrained' if config.get('pretrained') else config_name(file)
    config.work_dir = work_dir or config.get('work_dir') or str(Path('work_dirs', name))

    data_root = data_root or options.get('data_root')
    rooted = [dataset for dataset in all_datasets(config) if 'data_root' in dataset]
    if data_root and not rooted:
        raise UserError(f'--data-root {data_root}: no data set of {file} has a data_root to replace; use UCF50Dataset')
    for dataset in rooted:
        dataset.data_root = data_root or dataset.data_root
    use_split(config)
    use_augmentation(config, all_datasets(config), options, own_augmentation)
    use_clip(config, own_clip)
    use_views(config, own_views, datasets(config, ('test_dataloader',)))
    use_features(config, all_datasets(config))
    use_selection(config, all_datasets(config))
    use_pretraining(config)
    use_teachers(config)
    if not any(name.startswith('param_scheduler') for name in options):
        _end_schedule(config, own_epochs)
    _keep_scores(config)
    _use_classes_of_data(config, rooted)
    use_decoder(config, all_datasets(config))
    _check_frames(config)
    return config


def _dotted_names(part: Mapping[str, Any], place: str = '') -> Iterator[str]:
    """Yield the dotted name of everything in a part of a config, but for what is in lists."""
    for name, value in part.items():
        yield f'{place}{name}'
        if isinstance(value, Mapping):
            yield from _dotted_names(value, f'{place}{name}.')


def _check_leaving_out(config: Config, file: Path, options: Mapping[str, Any]) -> None:
    """Check that options change no part that is left out, and leave out no hook that is not there."""
    hooks = {*(config.get('default_hooks') or {}), 'ema'}  # which only some have, and a command may be about several
    for option, value in options.items():
        part: Any = config
        for name in option.split('.')[:-1]:
            part = part.get(name, {}) if isinstance(part, dict | Config) else {}
            if part is None:
                raise UserError(
                    f'--cfg-options {option}: {file} leaves {name} out, and an option changes only what is there; use '
                    'a config that has it, or leave the option out'
                )
        where, _, hook = option.partition('.')
        if where == 'default_hooks' and hook and value is None and hook.partition('.')[0] not in hooks:
            raise UserError(
                f'--cfg-options {option}: {file} has no such hook to leave out; correct the name to one of '
                f'{", ".join(sorted(hooks))}'
            )


def config_name(file: str | Path) -> str:
    """Return the name of a config in results, tables and work directories: that of its file.

    Where the folder is a recipe with a list of its parts, its name comes first: other recipes have the same networks.
    """
    file = Path(file).absolute()
    return f'{file.parent.name}_{file.stem}' if Path(file.parent, PARTS_FILE).is_file() else file.stem


def configure_training(
    config: Config,
    resume: str | None = None,
    amp: bool = False,
    validate: bool = True,
    auto_scale_lr: bool = False,
    seed: int | None = None,
    deterministic: bool = False,
    launcher: str = 'none',
) -> None:
    """Set in the config what the command line of `tools/train.py` asks for, as MMAction2's own tool does.

    Args:
        config: The config, changed in place.
        resume: A checkpoint to go on from, or `'auto'` for the newest one of the work directory.
        amp: Train in mixed precision, with float16 on a GPU and bfloat16 on a CPU.
        validate: Whether to look at the test clips between epochs.
        auto_scale_lr: Scale the learning rate by the batch size over `auto_scale_lr.base_batch_size`.
        seed: Seed of the training; by default the config's.
        deterministic: Use deterministic algorithms only.
        launcher: `'none'`, or how the processes were started.

    Raises:
        UserError: The config or this machine cannot do it.
    """
    missing = [name for name in ('train_cfg', 'optim_wrapper') if not config.get(name)]
    if missing:
        raise UserError(
            f'{config.filename} has no {" and no ".join(missing)}, so that it can be tested only: add what '
            'configs/_base_/schedule_40e.py has'
        )
    config.launcher = launcher
    config.randomness = config.get('randomness', {})
    if seed is not None:
        config.randomness.seed = seed
    seed = config.randomness.get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 1 << 32):
        raise UserError(f'--seed {seed}: give a whole number from 0 to {(1 << 32) - 1}')
    if deterministic:
        config.randomness.deterministic = True
    if not validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if amp:
        if torch.cuda.is_available():
            config.optim_wrapper.type = 'AmpOptimWrapper'
            config.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            config.optim_wrapper.type = 'BFloat16OptimWrapper'
            config.optim_wrapper.pop('loss_scale', None)
    if auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            raise UserError(
                f'--auto-scale-lr: {config.filename} does not say for which batch size its learning rate is; '
                'add auto_scale_lr = dict(base_batch_size=...)'
            )
        config.auto_scale_lr.enable = True
    newest = newest_checkpoint(config.work_dir) if resume == 'auto' else None
    # Where nothing is to be resumed, mmengine would take weights to start from for a checkpoint to resume.
    if resume and not (resume == 'auto' and config.load_from and not newest):
        config.resume = True
        config.load_from = (newest and str(newest.path)) if resume == 'auto' else resume


def loaders_of(config: Config) -> dict[str, Config]:
    """Return every loader of the config by its dotted name, also a training loop's other ones, as OmniSource has."""
    others = (config.get('train_cfg') or {}).get('other_loaders', [])
    named = {name: config[name] for name in LOADERS if config.get(name)}
    return named | {f'train_cfg.other_loaders.{number}': loader for number, loader in enumerate(others)}


def datasets(config: Config, loaders: Sequence[str] = LOADERS) -> Iterator[Config]:
    """Yield every data set of the config's loaders, wrappers such as RepeatDataset before what is inside of them."""
    for loader in loaders:
        yield from _datasets_of(config.get(loader) or {})


def dataset_of(config: Config, loader: str) -> Config:
    """Return the data set of one loader, inside of all wrappers."""
    return list(datasets(config, (loader,)))[-1]


def all_datasets(config: Config) -> Iterator[Config]:
    """Yield every data set of the config's loaders, see `loaders_of`."""
    for loader in loaders_of(config).values():
        yield from _datasets_of(loader)


def _datasets_of(loader: Config) -> Iterator[Config]:
    dataset = loader.get('dataset')
    while dataset is not None:
        yield dataset
        dataset = dataset.get('dataset')


def use_split(config: Config, **changes: str | int | None) -> None:
    """Change the variable `split`, and let all data sets of the config follow it."""
    if config.get('split'):
        if not isinstance(config.split, dict) or set(config.split) != {'protocol', 'fold', 'seed'}:
            raise UserError(f'split is {config.split}; it needs protocol, fold and seed, and nothing else')
        config.split.update(changes)
        for dataset in _following_split(config):
            dataset.update(config.split)


def use_clip(config: Config, before: Mapping[str, int]) -> None:
    """Let all pipelines and the model of the config follow its variable `clip`, the frames and pixels of a view.

    Of a dense sampling fewer frames are further apart, so that frames times stride stay about the same.

    Args:
        config: Changed in place; without the variable it stays as it is.
        before: What the variable was when pipelines and model last agreed with it.

    Raises:
        UserError: The variable is not of `frames` and `size`, two whole numbers above 0, the model cannot take such
            clips, or the pipelines have never followed the variable.
    """
    clip = config.get('clip')
    if clip is None or clip == before:
        return
    named = isinstance(clip, dict) and set(clip) == set(before)
    if not named or not all(isinstance(value, int) and value > 0 for value in clip.values()):
        length = f'; {fixed_frames(config)}' if 'frames' in clip and 'frames' not in before else ''
        raise UserError(
            f'clip is {clip}; {config.filename} needs {" and ".join(before)}, whole numbers above 0, there{length}'
        )
    check_clip(config.model, clip)
    pipelines = [dataset.get('pipeline', []) for dataset in all_datasets(config)]
    for step, joined in ((step, frames_per_image(pipeline)) for pipeline in pipelines for step in pipeline):
        if 'clip_len' in step and step.clip_len * step.get('num_clips', 1) == 1:
            continue  # an image
        if step.type == 'Resize' and tuple(step.scale) == (before.get('size'), before.get('size')):
            step.scale = (clip['size'], clip['size'])
        elif 'frames' in clip and (step.get('clip_len'), step.get('num_clips')) == (joined, before['frames']):
            step.num_clips = clip['frames']
        elif 'frames' in clip and step.get('clip_len') == before['frames']:
            if 'frame_interval' in step:
                step.frame_interval = max(1, round(step.frame_interval * before['frames'] / clip['frames']))
            step.clip_len = clip['frames']
        elif step.type == 'Resize' or ('frames' in clip and 'clip_len' in step):
            raise UserError(
                f'clip cannot be changed: {config.filename} has {dict(step)}, which is not what its clip says, '
                f'{dict(before)}; let both say the same, as configs/tvn1_ucf50.py does'
            )
    follow_clip(config.model, clip)


def use_epochs(config: Config, epochs: int) -> None:
    """Change the epochs of the training, and let its schedule end with the last one.

    Raises:
        UserError: It does not train by epochs.
    """
    before = config.train_cfg.get('max_epochs')
    if before is None:
        raise UserError(f'{config.filename} trains by steps, not epochs: its epochs cannot be changed')
    config.train_cfg.max_epochs = epochs
    _end_schedule(config, before)


def _end_schedule(config: Config, before: int | None) -> None:
    """Let what ended with the last epoch, once `before`, do so again; what began behind the new one is left out."""
    epochs = (config.get('train_cfg') or {}).get('max_epochs')
    if epochs == before or not isinstance(epochs, int):
        return
    schedule = config.get('param_scheduler') or []
    schedule = [schedule] if isinstance(schedule, dict) else schedule
    schedule = [part for part in schedule if not part.get('by_epoch', True) or part.get('begin', 0) < epochs]
    for part in (part for part in schedule if part.get('by_epoch', True)):
        begin, end = part.get('begin', 0), part.get('end', before)
        if 'end' in part:
            part.end = epochs if end == before else min(end, epochs)
        if part.get('T_max') == end - begin:
            part.T_max = part.get('end', epochs) - begin
        if 'milestones' in part:
            part.milestones = [max(1, round(milestone * epochs / before)) for milestone in part.milestones]
    config.param_scheduler = schedule


def _use_pretrained(config: Config, options: Mapping[str, Any]) -> None:
    """Let a training start from the weights that the config names, where its variable `pretrained` says so."""
    if not config.get('pretrained'):
        return
    if not config.get('pretrained_weights'):
        raise UserError(
            f'pretrained is {config.pretrained}, but {config.filename} names no pretrained_weights: nobody published '
            'any for its model; give yours with load_from=FILE'
        )
    if options.get('load_from'):
        raise UserError(f'load_from={options["load_from"]} and pretrained={config.pretrained}: use one of them')
    config.load_from = config.pretrained_weights


def _following_split(config: Config) -> list[Config]:
    return [dataset for dataset in all_datasets(config) if 'protocol' in dataset]


def _check_split(config: Config) -> None:
    """Check that the data sets of a config follow `split`, also in MMAction2's own tools, which do not know it."""
    split = config.get('split') or {}
    for dataset in _following_split(config):
        named = {name: dataset.get(name) for name in split}
        if split and named != split:
            raise UserError(
                f'{config.filename} has a data set of {named} and the variable split = {dict(split)}; let both say the '
                'same, as configs/tvn1_ucf50_group5.py does'
            )


def _keep_scores(config: Config) -> None:
    """Let a test keep the scores of every clip, from which results are made."""
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    if not any(evaluator.type == 'ClipScores' for evaluator in evaluators):  # a config that a run left has it already
        config.test_evaluator = [*evaluators, dict(type='ClipScores')]


def _use_classes_of_data(config: Config, rooted: list[Config]) -> None:
    """Let the classifier have as many classes as the data; a missing manifest is told when the data set is built."""
    answers = next((dataset.answers for dataset in rooted if 'answers' in dataset), None)
    if answers:  # of a pretext, whatever the classes of the data
        use_class_count(config, len(answers))
        return
    for root in {dataset.data_root for dataset in rooted}:
        if not Path(root, FILE_NAME).is_file():
            continue
        classes = len(classes_of(read_manifest(root)))
        if use_class_count(config, classes) and is_main_process():
            console.print(f'{root} has {classes} classes: the classifier too', highlight=False, soft_wrap=True)


def use_class_count(config: Config, classes: int) -> bool:
    """Let the model have that many classes, and return whether it had another number."""
    others = {f'model.{name}': classes for name in CLASS_COUNTS if _get(config.model, name) not in (None, classes)}
    config.merge_from_dict(others)
    return bool(others)


def _get(part: Any, name: str) -> Any:
    """Return what has a dotted name in a part of a config, None where it has no such thing."""
    for step in name.split('.'):
        part = dict(enumerate(part)).get(int(step)) if isinstance(part, list) else (part or {}).get(step)
    return part


def _check_frames(config: Config) -> None:
    """Check that a network that groups frames into clips gets whole clips."""
    backbone = config.model.get('backbone', {})
    frames = backbone.get('num_segments')
    if not config.model.type.endswith('Recognizer2D') or not frames:
        return
    for loader in LOADERS:
        for dataset in datasets(config, (loader,)):
            pipeline = dataset.get('pipeline', [])
            for step in pipeline:
                sampled = step.get('clip_len', 0) * step.get('num_clips', 1) // frames_per_image(pipeline)
                # While testing, several clips of that length are several views.
                if sampled % frames or (sampled > frames and loader == 'train_dataloader'):
                    raise UserError(
                        f'{loader} samples {sampled} frames and the network takes {frames}: set '
                        f'model.backbone.num_segments or num_clips of {step["type"]} so that they agree'
                    )
