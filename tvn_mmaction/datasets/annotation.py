"""Lists of clips for training and testing, made from a folder of class folders: scan, probe, split, write."""

import hashlib
import json
import os
import re
import signal
import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from ..console import progress_bar
from ..errors import UserError
from ..files import write_atomically

try:
    import decord
except ImportError:  # it has no wheel for macOS arm64 and Linux aarch64
    decord = None

VIDEO_SUFFIXES = ('.avi', '.mp4', '.mkv', '.mov', '.webm')
# Eight frames at stride 10 span 7 * 10 + 1 frames; shorter clips repeat their last sampled frame.
FULL_CLIP_FRAMES = 71
# UCF101's split 1 tests on these groups and trains on the rest.
UCF101_TEST_GROUPS = tuple(f'{number:02d}' for number in range(1, 8))


@dataclass(frozen=True)
class Clip:
    """One video file; `group` names the long video it was cut from, `'07'` for `v_Biking_g07_c02.avi`."""

    path: Path
    class_name: str
    group: str


@dataclass(frozen=True)
class Probe:
    """What opening a clip showed: its frames, or in `problem` the reason why it cannot be read."""

    frame_count: int = 0
    fps: float = 0.0
    problem: str = ''


Subsets = tuple[list[Clip], list[Clip]]


def build(videos: Path, out: Path, protocol: str = 'videowise', test_ratio: float = 0.15, seed: int = 0) -> dict:
    """Write the lists of the readable clips in `videos/<Class>/<clip>` into the folder `out`.

    The same clips and arguments give the same bytes on every machine.

    Args:
        videos: The folder that holds one folder per class.
        out: Where the lists go; made when missing.
        protocol: A name in `PROTOCOLS`.
        test_ratio: Share of each class that `videowise` tests on, above 0 and below 1.
        seed: Another seed is another choice of `videowise` test clips.

    Returns:
        What `summary.json` holds, see `write_lists`.

    Raises:
        UserError: The folder, the arguments or the clips do not allow it.
    """
    _check_split(protocol, test_ratio)  # before minutes of reading
    probes = probe(scan(videos))
    _check_every_class_is_readable(probes)
    train, test = split([clip for clip in probes if not probes[clip].problem], protocol, test_ratio, seed)
    drawn = protocol == 'videowise'  # the other protocols leave nothing to chance
    split_info = {
        'protocol': protocol,
        'test_ratio': test_ratio if drawn else None,
        'seed': seed if drawn else None,
    }
    return write_lists(out, probes, train, test, split_info)


def scan(videos: Path) -> list[Clip]:
    """Find the clips `videos/<Class>/<clip>`, in code point order of class and file name.

    The class is the folder and never the file's stem: UCF50's folder Billiards holds `v_Billards_*`. A clip without
    `_gNN_cNN` at the end of its stem is a group of its own. Hidden files are no clips.

    Raises:
        UserError: There is no such folder, no clip at this depth, only one class, or a name that no list can hold.
    """
    videos = Path(videos).resolve()
    if not videos.is_dir():
        raise UserError(f'{videos} is not a folder; pass the folder that holds one folder of clips per class')
    paths = [path for pattern in ('*', '*/*', '*/*/*') for path in videos.glob(pattern) if _is_clip(path, videos)]
    if not paths:
        raise UserError(
            f'{videos} holds no clip <Class>/<clip> with one of the endings {", ".join(VIDEO_SUFFIXES)}; '
            'pass the folder that holds one folder of clips per class'
        )
    for path in sorted(paths):
        if path.parent.parent != videos:
            raise UserError(
                f'{path} does not lie one folder below {videos}, as <Class>/<clip>; '
                f'if {path.parent.name} is a class, pass {path.parent.parent}'
            )
        if any(unicodedata.category(character) in ('Cc', 'Cs') for character in str(path)):
            raise UserError(f'{str(path)!r} holds a character that no text list can hold; rename it')

    clips = sorted((Clip(path, path.parent.name, _group(path)) for path in paths), key=_order)
    classes = {clip.class_name for clip in clips}
    if len(classes) == 1:
        raise UserError(f'{videos} holds clips of one class only, {clips[0].class_name}; two or more are needed')
    return clips


def _is_clip(path: Path, videos: Path) -> bool:
    hidden = any(part.startswith('.') for part in path.relative_to(videos).parts)
    return path.suffix.lower() in VIDEO_SUFFIXES and not hidden and not path.is_dir()


def _group(path: Path) -> str:
    match = re.search(r'_g(\d+)_c\d+$', path.stem)
    return f'{int(match[1]):02d}' if match else path.name


def _order(clip: Clip) -> tuple[str, str]:
    # By code point, so that no locale moves a label: JumpRope comes before JumpingJack.
    return clip.class_name, clip.path.name


def probe(clips: Collection[Clip]) -> dict[Clip, Probe]:
    """Open every clip and decode its first and last frame, on all cores and with a progress bar on stderr."""
    workers = min(len(clips), os.cpu_count() or 1, 61)  # Windows waits for at most 61 processes
    with ProcessPoolExecutor(workers, initializer=_silence_worker) as pool:
        # The processes start here, before the progress bar's thread: forking beside a thread can deadlock.
        results = pool.map(_probe_file, [clip.path for clip in clips])
        probes = {}
        with progress_bar() as progress:
            task = progress.add_task('reading clips', total=len(clips), status='')
            for clip, result in zip(clips, results, strict=True):
                probes[clip] = result
                progress.advance(task)
    return probes


def _silence_worker() -> None:
    # Ctrl-C is the main process's to tell, and decoders print their complaints straight to the terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _probe_file(path: Path) -> Probe:
    try:
        with path.open('rb') as file:
            if not file.read(1):
                return Probe(problem='the file is empty')
    except OSError as error:
        return Probe(problem=error.strerror)

    problem = 'it does not open as a video'
    try:
        frame_count, fps, read = _open_with_decord(path) if decord else _open_with_opencv(path)
        if frame_count < 1:
            return Probe(problem='it holds no frame')
        for index in sorted({0, frame_count - 1}):
            problem = f'frame {index + 1} of {frame_count} does not decode'
            read(index)
    except Exception:  # decord raises several types, all with C++ traces that help no user
        return Probe(problem=problem)
    return Probe(frame_count, fps)


def _open_with_decord(path: Path) -> tuple[int, float, Callable[[int], object]]:
    reader = decord.VideoReader(str(path), num_threads=1)
    return len(reader), reader.get_avg_fps(), reader.__getitem__


def _open_with_opencv(path: Path) -> tuple[int, float, Callable[[int], object]]:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ValueError(path)

    def read(index: int) -> None:
        if index > 0:  # OpenCV cannot seek in a video of one frame
            video.set(cv2.CAP_PROP_POS_FRAMES, index)
        if not video.read()[0]:
            raise ValueError(index)

    return int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS), read


def _check_every_class_is_readable(probes: Mapping[Clip, Probe]) -> None:
    readable = {clip.class_name for clip in probes if not probes[clip].problem}
    for clip in probes:
        if clip.class_name not in readable:
            what = f'class {clip.class_name}' if readable else 'any class'
            raise UserError(
                f'no clip of {what} can be read, the first one is {clip.path}: {probes[clip].problem}; '
                'unpack the videos again or remove the folder'
            )


def split(clips: Collection[Clip], protocol: str = 'videowise', test_ratio: float = 0.15, seed: int = 0) -> Subsets:
    """Divide clips into `(train, test)` by the protocol of this name, each in the order of `scan`.

    Raises:
        UserError: An unknown protocol, a ratio outside (0, 1), an empty test subset, or a class without train clips.
    """
    _check_split(protocol, test_ratio)
    return PROTOCOLS[protocol](clips, test_ratio, seed)


def _check_split(protocol: str, test_ratio: float) -> None:
    if protocol not in PROTOCOLS:
        raise UserError(f'unknown split {protocol}; known are {", ".join(PROTOCOLS)}')
    if not 0 < test_ratio < 1:
        raise UserError(f'the test ratio is {test_ratio}; it must lie above 0 and below 1, such as 0.15')


def split_by_group(clips: Collection[Clip], test_groups: Collection[str]) -> Subsets:
    """Divide clips into `(train, test)` by whole groups, such as `'07'`, so that no long video is in both.

    Raises:
        UserError: No clip belongs to the test groups, or a class has clips in no other group.
    """
    return _divide(clips, {clip for clip in clips if clip.group in test_groups})


def _split_videowise(clips: Collection[Clip], test_ratio: float, seed: int) -> Subsets:
    by_class: dict[str, list[Clip]] = {}
    for clip in clips:
        by_class.setdefault(clip.class_name, []).append(clip)

    def draw(clip: Clip) -> bytes:
        # A hash draws the same clips on every machine, Python version and order of listing; a generator may not.
        return hashlib.sha256(f'{seed}/{clip.class_name}/{clip.path.name}'.encode()).digest()

    test = set()
    for members in by_class.values():
        test_count = min(max(round(test_ratio * len(members)), 1), len(members) - 1)
        test.update(sorted(members, key=draw)[:test_count])
    return _divide(clips, test)


def _split_like_ucf101(clips: Collection[Clip], test_ratio: float, seed: int) -> Subsets:
    return split_by_group(clips, UCF101_TEST_GROUPS)


# Each takes the clips, the test ratio and the seed.
PROTOCOLS: dict[str, Callable[[Collection[Clip], float, int], Subsets]] = {
    'videowise': _split_videowise,
    'ucf101like': _split_like_ucf101,
}


def _divide(clips: Collection[Clip], test: Collection[Clip]) -> Subsets:
    ordered = sorted(clips, key=_order)
    train = [clip for clip in ordered if clip not in test]
    if len(train) == len(ordered):
        raise UserError(
            f'none of the {len(ordered)} clips belongs to the test subset; a split by group needs file names that end '
            'in _gNN_cNN, videowise needs a class with two or more clips'
        )
    trained = {clip.class_name for clip in train}
    for clip in ordered:
        if clip.class_name not in trained:
            raise UserError(f'all clips of class {clip.class_name} fall into the test subset; use another split')
    return train, [clip for clip in ordered if clip in test]


def write_lists(
    out: Path,
    probes: Mapping[Clip, Probe],
    train: Collection[Clip],
    test: Collection[Clip],
    split_info: Mapping[str, object],
) -> dict:
    """Write `classes.txt`, `train.txt`, `test.txt` and last `summary.json` into the folder `out`.

    A list holds one `path label` per line: the path is relative to `out` where the clip lies inside it and absolute
    elsewhere, the label is the class's line in `classes.txt`, counted from 0. MMAction2's `VideoDataset` reads them
    with `data_root=out`.

    Args:
        out: The folder; made when missing.
        probes: Every clip that was found, also the unreadable ones.
        train: Readable clips to train on.
        test: Readable clips to test on.
        split_info: How the subsets were made; goes into the summary as it is.

    Returns:
        What `summary.json` holds.

    Raises:
        UserError: The folder cannot be written.
    """
    out = Path(out).resolve()
    classes = sorted({clip.class_name for clip in probes})
    summary = {**split_info, **_summarize(out, classes, probes, train, test)}
    summary_path = out / 'summary.json'
    try:
        summary_path.unlink(missing_ok=True)  # lists without a summary are lists that were not finished
        write_atomically(out / 'classes.txt', ''.join(f'{name}\n' for name in classes))
        for name, subset in (('train.txt', train), ('test.txt', test)):
            lines = [f'{_listed(clip, out)} {classes.index(clip.class_name)}\n' for clip in subset]
            write_atomically(out / name, ''.join(lines))
        write_atomically(summary_path, json.dumps(summary, indent=2, sort_keys=True, ensure_ascii=False) + '\n')
    except OSError as error:
        raise UserError(f'{out} cannot be written: {error.strerror}; choose another folder') from error
    return summary


def _listed(clip: Clip, out: Path) -> str:
    path = clip.path.relative_to(out) if clip.path.is_relative_to(out) else clip.path
    return path.as_posix()


def _summarize(
    out: Path,
    classes: Collection[str],
    probes: Mapping[Clip, Probe],
    train: Collection[Clip],
    test: Collection[Clip],
) -> dict:
    clips = [*train, *test]
    groups = {(clip.class_name, clip.group) for clip in clips}
    train_groups = {(clip.class_name, clip.group) for clip in train}
    siblings = sum((clip.class_name, clip.group) in train_groups for clip in test)
    train_counts = Counter(clip.class_name for clip in train)
    test_counts = Counter(clip.class_name for clip in test)
    group_counts = Counter(class_name for class_name, _ in groups)
    frame_counts = [probes[clip].frame_count for clip in clips]
    short = sorted(_listed(clip, out) for clip in clips if probes[clip].frame_count < FULL_CLIP_FRAMES)
    return {
        'classes': len(classes),
        'clips': len(clips),
        'train_clips': len(train),
        'test_clips': len(test),
        'groups': len(groups),
        'per_class': {
            name: {'train': train_counts[name], 'test': test_counts[name], 'groups': group_counts[name]}
            for name in classes
        },
        'frame_count': {
            'min': min(frame_counts),
            'median': statistics.median(frame_counts),
            'max': max(frame_counts),
        },
        'clips_per_fps': dict(Counter(f'{probes[clip].fps:.2f}' for clip in clips)),
        'short_clips': {'frames_below': FULL_CLIP_FRAMES, 'count': len(short), 'paths': short},
        'unreadable': {_listed(clip, out): probes[clip].problem for clip in probes if probes[clip].problem},
        'test_clips_with_sibling_in_train': {'count': siblings, 'share': round(siblings / len(test), 4)},
    }
