"""Variables of a config: their schemas, and the order in which everything else in a config follows them."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmengine.config import Config

from ..datasets.transforms.pipeline_inspection import frames_per_image
from ..utils.errors import UserError
from ..utils.markdown import markdown_table
from .augmentation_steps import use_augmentation
from .class_count import use_classes_of_data
from .clip import check_clip, clip_stride, use_clip
from .decoder import DECODERS, use_decoder
from .dependencies import use_features, use_pretrained, use_pretraining, use_selection, use_teachers
from .loaders import LOADERS, datasets
from .references import is_reference, resolve_references
from .runner_types import name_runner_types
from .schedule import end_schedule
from .split import check_split, use_split
from .views import use_views


class Values(NamedTuple):
    """Allowed values of a variable or of one of its keys."""

    words: str
    allow: Callable[[Any], bool]
    optional: bool = False


@dataclass(frozen=True)
class Change:
    """The change of a config by the command line."""

    options: Mapping[str, Any]  # by dotted name
    before: Config  # the config without them
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

    def check(self, config: Config) -> None:
        """Check the value of the variable in a config by its schema.

        Raises:
            UserError: It has other keys or values.
        """
        value = config.get(self.name)
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

PARTS_OF_RUN = (*LOADERS, 'model', 'train_cfg', 'param_scheduler')  # others only name steps for them
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
        'distance of neighbouring frames, or follows from `span`, frames times stride.',
        "the config's", 'clip.frames=4 clip.size=112',
        lambda config, change: use_clip(config, change.before, change.references, change.options),
        {name: POSITIVE._replace(optional=True) for name in ('frames', 'size', 'stride', 'span')},
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
        'model.teachers=[a.pth,b.pth]', lambda config, change: use_teachers(config),
    ),
    Variable(
        'train_cfg.max_epochs', 'Epochs of the training, with which its schedule ends.', '40',
        'train_cfg.max_epochs=100', lambda config, change: _use_epochs(config, change),
    ),
    Variable(
        'model.cls_head.num_classes',
        'Number of classes, in all parts of the model that have one; it follows the data.',
        'that of the data', 'data_root=data/mine', lambda config, change: use_classes_of_data(config),
    ),
    Variable(
        'decoder', 'Decoder of all videos, or `FrameStore` for frames that were stored before.', 'Decord',
        'decoder=OpenCV', lambda config, change: use_decoder(config),
        value=Values(f'one of {", ".join(DECODERS)}', lambda value: value in DECODERS),
    ),
    Variable(
        'broken_clips',
        'Share of the training clips that may be unreadable, and seconds after which reading a clip is given up.',
        '0.01, 60 s', 'broken_clips.max_share=0.1',
        keys=dict(max_share=SHARE, time_limit_s=SECONDS),
    ),
)  # fmt: skip


def resolve(config: Config, change: Change | None = None) -> None:
    """Name the types of the runner, replace references by values, and let everything follow the variables, in order.

    A config that is resolved stays as it is.

    Args:
        config: Changed in place.
        change: By the command line; by default there is none.

    Raises:
        UserError: A variable has a value that it cannot have, or something cannot follow it.
    """
    change = change or Change({}, config)
    if change.before is config:
        check_split(config)
    name_runner_types(config)
    for variable in VARIABLES:
        variable.check(config)
    referring = resolve_references(config, clip_stride(config))
    check_clip(config, change.before)
    used = {name for name, places in referring.items() for place in places if place.partition('.')[0] in PARTS_OF_RUN}
    change = Change(change.options, change.before, frozenset(used))
    for variable in VARIABLES:
        variable.apply(config, change)
    _check_frames(config)


def variables_table() -> str:
    """Return the variables of a config as a Markdown table."""
    header = ['variable', 'sets', 'by default', '`--cfg-options`']
    rows = [[f'`{each.name}`', each.sentence, each.default, f'`{each.example}`'] for each in VARIABLES]
    return markdown_table(header, rows)


def _use_epochs(config: Config, change: Change) -> None:
    """Let the schedule end with the last epoch where it refers to that, or where an option changes the epochs."""
    epochs, before = (_epochs(each) for each in (config, change.before))
    if any(name.startswith('param_scheduler') for name in change.options) or not _is_whole(epochs):
        return
    if before is None:
        raise UserError(
            f'train_cfg.max_epochs is {epochs}, but {config.filename} trains by steps, not by epochs. Change '
            'train_cfg.max_iters instead.'
        )
    if epochs != before or 'train_cfg.max_epochs' in change.references:
        end_schedule(config, before)


def _epochs(config: Config) -> int | None:
    """Return the epochs of a training, also where they are a reference; None if it has steps instead."""
    epochs = (config.get('train_cfg') or {}).get('max_epochs')
    if not is_reference(epochs):
        return epochs
    config = copy.deepcopy(config)
    resolve_references(config, clip_stride(config))
    return config.train_cfg.max_epochs


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
