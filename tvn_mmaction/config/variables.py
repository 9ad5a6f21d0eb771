"""Variables of a config, in the order in which everything else follows them, and what follows `clip` and epochs."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmengine.config import Config

from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..models.backbones.online_tsm import fewest_frames
from ..utils.errors import UserError
from ..utils.markdown import markdown_table
from .augmentation_steps import use_augmentation
from .clip_fps import use_frame_rate
from .decoder import DECODERS, use_decoder
from .dependencies import use_features, use_pretrained, use_pretraining, use_selection, use_teachers
from .loaders import LOADERS, dataset_of, datasets, use_classes_of_data, use_split
from .views import use_views

REFERENCE = re.compile(r'\$\{([^{}]*)\}')


def is_reference(value: Any) -> bool:
    """Return whether a value of a config refers to another one, as `'${clip.frames}'` does."""
    return isinstance(value, str) and REFERENCE.search(value) is not None


class Values(NamedTuple):
    """Allowed values of a variable or of one of its keys."""

    words: str
    allow: Callable[[Any], bool]
    optional: bool = False


@dataclass(frozen=True)
class Change:
    """The change of a config by the command line."""

    options: Mapping[str, Any]  # by dotted name
    before: Config  # the config without them, its references resolved
    references: frozenset[str] = frozenset()  # dotted names that parts of the run refer to


@dataclass(frozen=True)
class Variable:
    """A value of a config, by its dotted name, that other parts follow, by references or by `apply`."""

    name: str
    sentence: str
    default: str
    example: str  # for --cfg-options
    apply: Callable[[Config, Change], None] = lambda config, change: None
    keys: Mapping[str, Values] = field(default_factory=dict)
    value: Values | None = None  # of a variable without keys

    def check(self, value: Any) -> None:
        """Check a value of the variable by its schema, unless it is None or a reference."""
        if value is None or is_reference(value):
            return
        if self.value and not self.value.allow(value):
            raise UserError(f'{self.name} is {value!r}. Give {self.value.words}.')
        if not self.keys:
            return
        needed = {key for key, allowed in self.keys.items() if not allowed.optional}
        if not isinstance(value, Mapping) or not needed <= set(value) <= set(self.keys):
            unknown = sorted(set(value) - set(self.keys)) if isinstance(value, Mapping) else []
            fault = f'{self.name} has no {" and no ".join(unknown)}' if unknown else f'{self.name} is {value}'
            parts = ', '.join(
                f'{key} ({"optional, " * allowed.optional}{allowed.words})' for key, allowed in self.keys.items()
            )
            raise UserError(f'{fault}. Give {parts}.')
        for key, allowed in self.keys.items():
            if key in value and not is_reference(value[key]) and not allowed.allow(value[key]):
                raise UserError(f'{self.name}.{key} is {value[key]!r}. Give {allowed.words}.')


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


POSITIVE = Values('a whole number above 0', lambda value: _is_whole(value) and value > 0)
FROM_ZERO = Values('a whole number from 0', lambda value: _is_whole(value) and value >= 0)
TEXT = Values('a text', lambda value: isinstance(value, str))
YES_OR_NO = Values('True or False', lambda value: isinstance(value, bool))
MAPPING = Values('a dict', lambda value: isinstance(value, Mapping))
SHARE = Values('a share from 0 to 1', lambda value: isinstance(value, int | float) and 0 <= value <= 1)
SECONDS = Values('seconds above 0', lambda value: isinstance(value, int | float) and value > 0)

# In the order in which they are applied: every variable after those that change the parts it reads.
VARIABLES = (
    Variable(
        'data_root', 'Folder of the manifest, which the data sets refer to.', 'data/ucf50', 'data_root=data/mine',
        value=TEXT,
    ),
    Variable(
        'split', 'Protocol, fold and seed that divide the clips into train and test; all data sets follow.',
        'videowise, fold 0, seed 0', 'split.protocol=group5 split.fold=2',
        lambda config, change: use_split(config),
        dict(protocol=TEXT, fold=FROM_ZERO, seed=FROM_ZERO),
    ),
    Variable(
        'clip',
        'Frames and pixels (`size`) of a clip, which pipelines refer to and model arguments follow; `stride` is the '
        'distance of neighbouring frames, or follows from `span`, frames times stride. With `fps`, distances are those '
        'of a video of that many frames per second, whatever the rate of the file.',
        "the config's; no fps", 'clip.frames=4 clip.size=112 clip.fps=25',
        lambda config, change: _use_clip(config, change),
        {
            **{name: POSITIVE._replace(optional=True) for name in ('frames', 'size', 'stride', 'span')},
            'fps': Values('frames per second, or None', lambda value: value is None or _is_rate(value), optional=True),
        },
    ),
    Variable(
        'pretrained', 'Whether the training starts from the published weights in `pretrained_weights`.', 'False',
        'pretrained=True',
        lambda config, change: use_pretrained(config, change.options), value=YES_OR_NO,
    ),
    Variable(
        'augmentation', 'Steps of the augmentation of training clips by name; None leaves one out.', "the config's",
        'augmentation.flip=None',
        lambda config, change: use_augmentation(config, change.before, change.options), value=MAPPING,
    ),
    Variable(
        'balanced_sampling',
        'Whether an epoch samples all classes equally often: clips of rare classes repeat, others wait for later '
        'epochs. An epoch stays as long.', 'False', 'balanced_sampling=True',
        lambda config, change: _use_balanced_sampling(config), value=YES_OR_NO,
    ),
    Variable(
        'class_weight', 'Whether the loss of a clip is weighted inversely to the training clips of its class.', 'None',
        'class_weight=balanced', lambda config, change: _use_class_weight(config),
        value=Values('balanced, or None', lambda value: value in ('balanced', None)),
    ),
    Variable(
        'views', 'Clips and crops of a video in the test, whose scores are averaged.', 'one of each',
        'views.clips=3 views.crops=3',
        lambda config, change: use_views(config, change.before),
        dict(clips=POSITIVE._replace(optional=True), crops=Values('1 or 3', lambda value: value in (1, 3), True)),
    ),
    Variable(
        'features', 'Features that a network reads instead of videos, and how many steps of them.', "the config's",
        'features.folder=work_dirs/NAME/features',
        lambda config, change: use_features(config),
        dict(folder=TEXT, network=TEXT, layer=TEXT, length=POSITIVE),
    ),
    Variable(
        'selection', 'File of selected frames, of `tools/select_frames.py`.', "the config's",
        'selection=work_dirs/selection/smart.json',
        lambda config, change: use_selection(config), value=TEXT,
    ),
    Variable(
        'pretraining', 'Config of a pretraining on the same clips, next to this one, which runs before the training.',
        'None', 'pretraining.config=pretrain_rate_ucf50.py',
        lambda config, change: use_pretraining(config),
        dict(
            config=Values('a config next to this one', lambda value: isinstance(value, str) and value),
            options=MAPPING._replace(optional=True),
            work_dir=TEXT._replace(optional=True),
            sha256=TEXT._replace(optional=True),
        ),
    ),
    Variable(
        'model.teachers', 'Checkpoints of the networks that a distilled network learns from.', 'None',
        'model.teachers=[a.pth,b.pth]',
        lambda config, change: use_teachers(config),
        value=Values('a list of checkpoints, such as [a.pth,b.pth]', lambda value: isinstance(value, list | tuple)),
    ),
    Variable(
        'train_cfg.max_epochs', 'Epochs of the training, with which its schedule ends.', '40',
        'train_cfg.max_epochs=100', lambda config, change: _use_epochs(config, change), value=POSITIVE,
    ),
    Variable(
        'model.cls_head.num_classes',
        'Number of classes, in all parts of the model that have one; it follows the data.',
        'that of the data', 'data_root=data/mine', lambda config, change: use_classes_of_data(config),
    ),
    Variable(
        'decoder', 'Decoder of all videos, or `FrameStore` for frames that were stored before.', 'ExactVideo',
        'decoder=Decord', lambda config, change: (use_decoder(config), use_frame_rate(config)),
        value=Values(f'one of {", ".join(DECODERS)}', lambda value: value in DECODERS),
    ),
    Variable(
        'broken_clips',
        'Share of the training clips that may be unreadable, and seconds after which reading a clip is given up.',
        '0.01, 60 s', 'broken_clips.max_share=0.1',
        keys=dict(max_share=SHARE, time_limit_s=SECONDS),
    ),
)  # fmt: skip


def variables_table() -> str:
    """Return the variables of a config as a Markdown table."""
    header = ['variable', 'sets', 'by default', '`--cfg-options`']
    rows = [[f'`{each.name}`', each.sentence, each.default, f'`{each.example}`'] for each in VARIABLES]
    return markdown_table(header, rows)


# Arguments of models that follow the variable `clip`, with the part of it that they follow.
FOLLOWING_CLIP = {
    'num_segments': 'frames',
    'num_frames': 'frames',
    'temporal_size': 'frames',
    'img_size': 'size',
    'spatial_size': 'size',
}
C3D_OUT_DIM = 8192  # of MMAction2's C3D, for 112 pixels
ANY = sys.maxsize  # no upper bound
# By type of a model part, the part of `clip` that it constrains and the values that it accepts. With other values, no
# pixels are left for a pooling, or an assertion without a message fails; TRNHead lists all subsets of frames.
INPUT_CONSTRAINTS: dict[str, Callable[[Config], tuple[str, range]]] = {
    'C2D': lambda part: ('frames', range(2, ANY)),
    'C3D': lambda part: ('size', range(16, ANY)),
    'MViT': lambda part: ('size', range(32, ANY)),
    'OnlineResNetTSM': lambda part: ('frames', range(fewest_frames(part.get('exit_count', 3)), ANY)),
    'ResNet3d': lambda part: ('frames', range(part.get('conv1_stride_t', 1) * part.get('pool1_stride_t', 1) + 1, ANY)),
    'ResNet3dSlowFast': lambda part: ('frames', range(part.resample_rate, ANY, part.resample_rate)),
    'SlowFusion': lambda part: ('size', range(32, ANY)),
    'TANet': lambda part: ('frames', range(3, ANY)),
    'TRNHead': lambda part: ('frames', range(2, 17)),
    'TimeSformer': lambda part: ('size', range(part.patch_size, ANY, part.patch_size)),
    'UniFormer': lambda part: ('size', range(32, ANY)),
}


def clip_stride(config: Config) -> dict[str, int]:
    """Return the derived value `clip.stride` of a clip with a span: with fewer frames, the frames lie further apart."""
    clip = config.get('clip') or {}
    return {'clip.stride': max(1, round(clip['span'] / clip['frames']))} if {'span', 'frames'} <= set(clip) else {}


def _use_balanced_sampling(config: Config) -> None:
    """Let the training sample all classes equally often."""
    if not config.get('balanced_sampling') or not config.get('train_dataloader'):
        return
    sampler = config.train_dataloader.sampler
    if sampler.type not in ('DefaultSampler', 'BalancedSampler'):
        raise UserError(
            f'balanced_sampling is True, and {config.filename} trains with {sampler.type}. Leave one of them out.'
        )
    sampler.type = 'BalancedSampler'


def _use_class_weight(config: Config) -> None:
    """Let the training weight the loss by class."""
    if config.get('class_weight') == 'balanced':
        hooks = [hook for hook in config.get('custom_hooks') or [] if hook['type'] != 'ClassWeightHook']
        config.custom_hooks = [*hooks, dict(type='ClassWeightHook')]


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1000


def _use_clip(config: Config, change: Change) -> None:
    """Let the arguments of the model in `FOLLOWING_CLIP` follow the variable `clip`, as pipelines that refer to it do.

    An argument that is itself among the options stays.
    """
    clip, own = ({**(each.get('clip') or {})} for each in (config, change.before))
    for each in (clip, own):
        each.pop('fps', None)  # which any clip can have
    if added := [name for name in clip if name not in own]:
        fixed = f', {_fixed_frames(config)}' if 'frames' in added else ''
        raise UserError(
            f'clip.{added[0]} is {clip[added[0]]}, and the clip of {config.filename} has {" and ".join(own)} '
            f'only{fixed}. Leave clip.{added[0]} out.'
        )
    _check_constraints(config.model, clip)
    for name in clip:
        if clip[name] != own[name] and f'clip.{name}' not in change.references:
            raise UserError(
                f'clip.{name} is {clip[name]}, and nothing in {config.filename} refers to it. Write '
                f"'${{clip.{name}}}' in its pipelines, as configs/_base_/segments.py does; instead of a config that a "
                'run wrote down, use the one that it was read from.'
            )
    if any(name.startswith('clip.') for name in change.references):
        _follow(config.model, clip, 'model', change.options)


def _check_constraints(part: Any, clip: Mapping[str, int]) -> None:
    """Check a part of a model and all parts in it by `INPUT_CONSTRAINTS`."""
    if part.get('type') in INPUT_CONSTRAINTS:
        name, allowed = INPUT_CONSTRAINTS[part.type](part)
        if name in clip and clip[name] not in allowed:
            bounds = f'at least {allowed.start}' + (f' and at most {allowed[-1]}' if allowed.stop < ANY else '')
            needed = bounds if allowed.step == 1 else f'a multiple of {allowed.step}'
            raise UserError(f'clip.{name} is {clip[name]}, which {part.type} does not accept. Give {needed}.')
    for value in part.values():
        if isinstance(value, dict):
            _check_constraints(value, clip)


def _fixed_frames(config: Config) -> str:
    """Return in words how many frames a network takes that accepts no other number."""
    steps = dataset_of(config, 'test_dataloader').get('pipeline', [])
    frames = next((step['clip_len'] for step in steps if 'clip_len' in step), 'its')
    return f'since {config.model.get("backbone", config.model).type} takes {frames} frames, which its layers fix'


def _follow(part: Any, clip: Mapping[str, int], place: str, options: Mapping[str, Any]) -> None:
    for name, value in part.items():
        followed = FOLLOWING_CLIP.get(name)
        if followed in clip and isinstance(value, int):
            if not any(f'{place}.{name}.'.startswith(f'{option}.') for option in options):
                part[name] = clip[followed]
        elif isinstance(value, dict):
            _follow(value, clip, f'{place}.{name}', options)
    if part.get('type') == 'C3D':  # its first linear layer takes 512 channels of what five poolings leave
        out_dim = 512 * (clip['size'] // 16 // 2 + 1) ** 2
        if out_dim != part.get('out_dim', C3D_OUT_DIM):
            part.out_dim = out_dim


def use_epochs(config: Config, epochs: int) -> None:
    """Change the epochs of the training, and let its schedule end with the last one."""
    before = config.train_cfg.get('max_epochs')
    config.train_cfg.max_epochs = epochs
    if epochs != before:
        _end_schedule(config, before)


def _use_epochs(config: Config, change: Change) -> None:
    """Let the schedule end with the last epoch where it refers to that, or where an option changes the epochs."""
    epochs, before = ((each.get('train_cfg') or {}).get('max_epochs') for each in (config, change.before))
    if epochs is None or any(name.startswith('param_scheduler') for name in change.options):
        return
    if epochs != before or 'train_cfg.max_epochs' in change.references:
        _end_schedule(config, before)


def _end_schedule(config: Config, before: int | None) -> None:
    """End with the last epoch what ended with epoch `before`, and leave out what would begin after the last one."""
    epochs = config.train_cfg.max_epochs
    if before is None:
        raise UserError(
            f'train_cfg.max_epochs is {epochs}, but {config.filename} trains by steps, not by epochs. Change '
            'train_cfg.max_iters instead.'
        )
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


def check_frames(config: Config) -> None:
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
                        f'{loader} samples {sampled} frames and the network takes {frames}. Set '
                        f'model.backbone.num_segments or num_clips of {step["type"]} so that they agree.'
                    )
