"""Building of a data root from clips: find them, probe those that changed, write manifest, lists and summary."""

import json
import shutil
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...utils.errors import UserError
from ...utils.io import write_atomically
from ..leakage import check_groups_are_apart, duplicates, same_group
from ..manifest import FILE_NAME, SUMMARY_NAME, Clip, classes_of, read_rows, write_manifest, write_rows
from ..protocols import (
    OWN,
    PROTOCOLS,
    Assigned,
    assign_folds,
    dropped_clips,
    fold_count,
    has_own_validation,
    subsets,
    validation_split,
)
from ..video_reader import VERSION
from .layout import find_clips
from .probe import probe
from .ucf50_inventory import compare_with_ucf50

# Eight frames at stride 10 span 7 * 10 + 1 frames; shorter clips repeat their last sampled frame.
FULL_CLIP_FRAMES = 71


def build_data_root(
    videos: Path,
    data_root: Path,
    protocol: str | None = None,
    seed: int = 0,
    group_pattern: str | None = None,
    annotations: Path | None = None,
) -> dict:
    """Describe the clips of a data set of any layout, see `find_clips`, in a data root.

    It writes `manifest.csv` with a row per clip, from which `UCF50Dataset` takes any protocol; the lists of one
    protocol for MMAction2's own `VideoDataset`, see `write_list`; `classes.txt`; and last `summary.json`. Unchanged
    clips that an earlier run has read are not read again, also if that run was interrupted.

    Args:
        videos: The folder that holds one folder per class, or another layout, see `find_clips`.
        data_root: The folder to write into; created if missing.
        protocol: A name in `PROTOCOLS`; by default `'own'` if the clips come with a split, else `'videowise'`.
        seed: Seed of the protocol.
        group_pattern: Position of the group in names, see `scan`; by default that of the last run, at first `'ucf50'`.
        annotations: File or folder of annotations that lie elsewhere than the clips.

    Returns:
        The content of `summary.json`.

    Raises:
        UserError: The folder, the arguments or the clips are unsuitable.
    """
    group_pattern = group_pattern or _last_group_pattern(data_root) or 'ucf50'
    layout, found, ignored = find_clips(videos, data_root, group_pattern, annotations)
    protocol = protocol or (OWN if any(clip.split for clip in found) else 'videowise')
    folds = assign_folds(found, protocol, seed)  # needs names only: raises before minutes of reading
    try:
        before = _rows_of(data_root / FILE_NAME)
        clips = _read_what_changed(found, data_root, before)
        if before and _listed(before) != _listed(clips):
            # Its lists would have wrong labels or leak.
            shutil.rmtree(data_root / 'lists', ignore_errors=True)
        _check_every_class_is_readable(clips)
        classes = classes_of(clips)
        write_atomically(data_root / 'classes.txt', ''.join(f'{name}\n' for name in classes))
        described = []
        for fold in range(fold_count(folds)):  # one after the other: all folds together may not fit into memory
            fold_subset = _subsets(clips, folds, fold)
            if PROTOCOLS[protocol].by_group:
                check_groups_are_apart(fold_subset['train'], fold_subset['test'])
            for subset, members in fold_subset.items():
                write_list(data_root / list_file(protocol, seed, fold, subset), members, classes)
            described.append(_describe_fold(**fold_subset))
        dropped = dropped_clips(clips, folds)
        summary = {
            'archive': compare_with_ucf50(clips),
            'layout': layout,
            'group_pattern': group_pattern,
            'regrouped': _regrouped(before, clips),
            **_describe_clips(clips),
            'ignored': ignored,
            'protocol': protocol,
            'seed': seed if PROTOCOLS[protocol].seeded else None,
            'folds': described,
            'dropped': len(dropped),
            'dropped_groups': sorted({clip.group for clip in dropped}),
        }
        text = json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False) + '\n'
        write_atomically(data_root / SUMMARY_NAME, text)
    except OSError as error:
        raise UserError(f'{data_root} cannot be written: {error.strerror}. Choose another folder.') from error
    return summary


def _subsets(clips: Sequence[Clip], folds: Sequence[Assigned], fold: int) -> dict[str, list[Clip]]:
    """Return the clips of a fold by subset; validation is one of them where the user's own split has it."""
    by_name = subsets(clips, folds, fold)._asdict()
    if has_own_validation(folds, fold):
        by_name['validation'] = subsets(clips, validation_split(clips, folds, fold, OWN), 0).test
    return by_name


def _last_group_pattern(data_root: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError):
        return json.loads((data_root / SUMMARY_NAME).read_text(encoding='utf-8'))['group_pattern']
    return None


def _listed(clips: Sequence[Clip]) -> list[tuple[str, str, str, bool, str]]:
    """Return the fields that lists depend on."""
    return [(clip.path, clip.class_name, clip.group, bool(clip.problem), clip.split) for clip in clips]


def _regrouped(before: Sequence[Clip], clips: Sequence[Clip]) -> int:
    """Return the number of clips that had another group in the last run."""
    groups = {clip.path: clip.group for clip in before}
    return sum(groups.get(clip.path, clip.group) != clip.group for clip in clips)


def _read_what_changed(found: Sequence[Clip], data_root: Path, before: Sequence[Clip]) -> list[Clip]:
    """Complete clips from the last manifest and an interrupted run, probe the others, and write the manifest."""
    partial = data_root / f'{FILE_NAME}.part'
    unfinished = _rows_of(partial)
    read_before = (clip for clip in (*before, *unfinished) if not clip.problem and clip.reader == VERSION)
    known = {_identity(clip): clip for clip in read_before}
    fresh = [clip for clip in found if not clip.problem and _identity(clip) not in known]
    if fresh:
        write_manifest(partial, unfinished)
        with partial.open('a', encoding='utf-8', newline='') as file:
            for clip in probe(fresh, data_root):
                write_rows(file, [clip])
                file.flush()
                known[_identity(clip)] = clip
    # Class, group and split come from the scan: the group pattern or the annotations may have changed.
    clips = [
        known.get(_identity(clip), clip)._replace(class_name=clip.class_name, group=clip.group, split=clip.split)
        for clip in found
    ]
    write_manifest(data_root / FILE_NAME, clips)
    partial.unlink(missing_ok=True)
    return clips


def _rows_of(path: Path) -> list[Clip]:
    """Return the clips of a manifest up to its first damaged line, none if it is missing or of another release."""
    clips = []
    with suppress(UserError, FileNotFoundError):
        for clip in read_rows(path):
            clips.append(clip)
    return clips


def _identity(clip: Clip) -> tuple[str, int, int]:
    return clip.path, clip.bytes, clip.modified_ns


def _check_every_class_is_readable(clips: Sequence[Clip]) -> None:
    readable = {clip.class_name for clip in clips if not clip.problem}
    for clip in clips:
        if clip.class_name not in readable:
            what = f'class {clip.class_name}' if readable else 'any class'
            raise UserError(
                f'no clip of {what} can be read, the first one is {clip.path}: {clip.problem}. '
                'Unpack the videos again or remove the folder.'
            )


def list_file(protocol: str, seed: int, fold: int, subset: str) -> str:
    """Return the name of a list in its data root, such as `lists/group5_seed0/fold0_train.txt`."""
    folder = f'{protocol}_seed{seed}' if PROTOCOLS[protocol].seeded else protocol
    return f'lists/{folder}/fold{fold}_{subset}.txt'


def write_list(path: Path, clips: Sequence[Clip], classes: Sequence[str]) -> None:
    """Write a list of clips for MMAction2's `VideoDataset`.

    It holds one `path label` per line: the label is the class's line in `classes.txt`, counted from 0. `VideoDataset`
    reads it with `data_root` and `data_prefix=dict(video='')`, if no path contains a space.
    """
    labels = {name: label for label, name in enumerate(classes)}
    write_atomically(path, ''.join(f'{clip.path} {labels[clip.class_name]}\n' for clip in clips))


def _describe_clips(clips: Sequence[Clip]) -> dict:
    usable = [clip for clip in clips if not clip.problem]
    groups = {(clip.class_name, clip.group) for clip in clips}
    clips_of, groups_of = Counter(clip.class_name for clip in usable), Counter(name for name, _ in groups)
    frames = [clip.frames for clip in usable]
    short = [clip.path for clip in usable if clip.frames < FULL_CLIP_FRAMES]
    return {
        'classes': len(clips_of),
        'clips': len(usable),
        'groups': len(groups),
        'clips_without_group': sum(clip.group == clip.file_name for clip in usable),
        'per_class': {name: {'clips': clips_of[name], 'groups': groups_of[name]} for name in clips_of},
        'hours': round(sum(clip.duration_s for clip in usable) / 3600, 3),
        'gigabytes': round(sum(clip.bytes for clip in usable) / 1e9, 3),
        'frames': {'min': min(frames), 'median': statistics.median(frames), 'max': max(frames)},
        'clips_per_fps': dict(Counter(f'{clip.fps:.2f}' for clip in usable)),
        'clips_per_size': dict(Counter(f'{clip.width}x{clip.height}' for clip in usable)),
        'short_clips': {'frames_below': FULL_CLIP_FRAMES, 'count': len(short), 'paths': short},
        'unreadable': {clip.path: clip.problem for clip in clips if clip.problem},
        'copies': _copies(usable),
    }


def _copies(clips: Sequence[Clip]) -> list[list[str]]:
    """Return the paths of clips with equal content, one list per group of duplicates."""
    by_content = defaultdict(list)
    for clip in clips:
        by_content[clip.sha256].append(clip.path)
    return [paths for paths in by_content.values() if len(paths) > 1]


def _describe_fold(train: list[Clip], test: list[Clip], validation: list[Clip] | None = None) -> dict[str, int]:
    """Return the counts of the clips of a fold, and of those that leak."""
    counts = {'train_clips': len(train)}
    for name, clips in (('test', test), ('validation', validation)):
        if clips is not None:
            counts[f'{name}_clips'] = len(clips)
            counts[f'{name}_clips_with_sibling_in_train'] = len(same_group(clips, train))
            counts[f'{name}_clips_with_copy_in_train'] = len(duplicates(clips, train))
    return counts
