"""Data set over a data root of `tools/build_ucf50.py`: UCF50 or any other data set of clips and classes."""

from collections import Counter
from pathlib import Path
from typing import Literal

from mmaction.datasets import VideoDataset
from mmaction.registry import DATASETS

from ..utils.errors import UserError
from .class_names import both_lists
from .leakage import check_groups_are_apart
from .manifest import Clip, classes_of, read_manifest
from .protocols import PROTOCOLS, assign_folds, subsets, validation_split
from .video_reader import VERSION

SUBSETS = ('train', 'test', 'fit', 'validation')


@DATASETS.register_module()
class UCF50Dataset(VideoDataset):
    """A subset of one fold of a protocol, from the manifest of a data root.

    The class names by label are in `metainfo['classes']`, and `metainfo['split']` holds protocol, fold, seed, subset
    and validation fold. Each entry of the data list has `filename`, `label`, `data_root`, and the clip's `group`,
    `sha256` and `total_frames`.

    Args:
        data_root: The folder of the manifest, see `tvn_mmaction.datasets.preparation.builder`.
        protocol: A name in `PROTOCOLS`.
        fold: From 0; protocols with one fold have fold 0 only.
        subset: `'train'` or `'test'`; or, for choices that must not see the test split, `'validation'` or `'fit'` (the
            training split without validation), into which `validation_split` divides the training clips. Validation
            clips of the protocol `own` are in `'validation'` only.
        seed: Seed of the protocol.
        validation_fold: Fold of the training clips that is the validation split, from 0.
        ann_file: A list of `path label` lines, relative to `data_root`, that selects clips of the subset.
        metainfo: Further metainfo; overrides that of the data root. Labels follow its `classes`.
        **kwargs: Passed to `VideoDataset`, above all `pipeline` and `test_mode`.

    Raises:
        UserError: Manifest, list or a video is missing; the protocol, fold or subset is unknown; a line of the list is
            not a clip of the manifest with its label, or a clip of the other subset, which would leak; or `metainfo`
            lacks classes of the data root.
    """

    def __init__(
        self,
        data_root: str = 'data/ucf50',
        protocol: str = 'videowise',
        fold: int = 0,
        subset: Literal['train', 'test', 'fit', 'validation'] = 'train',
        seed: int = 0,
        validation_fold: int = 0,
        ann_file: str = '',
        metainfo: dict | None = None,
        **kwargs,
    ):
        if subset not in SUBSETS:
            raise UserError(f'unknown subset {subset}. Known are {", ".join(SUBSETS)}.')
        self.clips = read_manifest(data_root)
        self.split = {
            'protocol': protocol,
            'fold': fold,
            'seed': seed,
            'subset': subset,
            'validation_fold': validation_fold,
        }
        metainfo = {'classes': tuple(classes_of(self.clips)), 'split': self.split, **(metainfo or {})}
        super().__init__(ann_file, data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one `dict(filename, label, group, sha256, data_root)` per clip, with a `name` if its own repeats."""
        protocol, fold, seed, subset, validation_fold = self.split.values()
        folds = assign_folds(self.clips, protocol, seed)
        both = subsets(self.clips, folds, fold)
        if subset in ('fit', 'validation'):
            try:
                both = subsets(self.clips, validation_split(self.clips, folds, fold, protocol, seed), validation_fold)
            except UserError as error:
                raise UserError(f'validation split of the training clips: {error}') from None
        if PROTOCOLS[protocol].by_group:
            check_groups_are_apart(*both)
        clips = both.train if subset in ('train', 'fit') else both.test
        if self.ann_file:
            clips = self._choose(clips, Path(self.ann_file))
        named = self.metainfo['classes']
        if not set(own := classes_of(self.clips)) <= set(named):
            remedy = 'Let metainfo have all classes of the data root, or leave its classes out.'
            raise UserError(f'{both_lists(self.data_root, own, "metainfo", named)}. {remedy}')
        labels = {name: label for label, name in enumerate(named)}
        short_names = Counter(map(_short_name, self.clips))
        data_list = []
        for clip in clips:
            video = Path(self.data_root, clip.path)
            if not video.exists():
                raise UserError(
                    f'no video at {video}. Build the manifest again: python tools/build_ucf50.py VIDEOS --out '
                    f'{self.data_root}'
                )
            label = labels[clip.class_name]
            info = {'filename': str(video), 'label': label, 'group': clip.group, 'sha256': clip.sha256}
            if short_names[_short_name(clip)] > 1:
                info['name'] = clip.path
            if clip.reader == VERSION:  # an earlier one counts other frames of some videos
                info['total_frames'] = clip.frames
            data_list.append({**info, 'data_root': self.data_root})  # where FrameStoreInit finds the clip's frames
        return data_list

    def _choose(self, clips: list[Clip], path: Path) -> list[Clip]:
        """Return the clips of the subset that a list names."""
        if not path.is_file():
            raise UserError(f'no list of clips at {path}. Omit ann_file to use all clips of the subset.')
        protocol, fold, _, subset, _ = self.split.values()
        labels = {name: label for label, name in enumerate(classes_of(self.clips))}
        allowed = {f'{clip.path} {labels[clip.class_name]}': clip for clip in clips}
        others = {f'{clip.path} {labels[clip.class_name]}': clip for clip in self.clips}
        # Not splitlines(), which also splits at rare characters that a path may hold.
        lines = [line for line in path.read_text(encoding='utf-8').split('\n') if line]
        for number, line in enumerate(lines, start=1):
            if line in others and line not in allowed:
                raise UserError(
                    f'{path}, line {number}: {line!r}, of group {others[line].group}, is not a {subset} clip of '
                    f'{protocol}, fold {fold}: the list leaks. Remove the line, or name the fold of the list.'
                )
            if line not in allowed:
                raise UserError(
                    f'{path}, line {number}: {line!r} is not the path of a clip in the manifest and its label. Correct '
                    'it, or build the manifest again with tools/build_ucf50.py.'
                )
        if not lines:
            raise UserError(f'the list of clips at {path} is empty. Omit ann_file to use all clips of the subset.')
        return [allowed[line] for line in lines]


def _short_name(clip: Clip) -> str:
    """Return the folder and file name of a clip, which name it in results."""
    return '/'.join(clip.path.split('/')[-2:])
