"""Build the data root of UCF50, or of any other clips with classes: manifest, protocols, lists, frame store.

    python tools/build_ucf50.py --download --out data/ucf50
    python tools/build_ucf50.py VIDEOS --out data/mine
    python tools/build_ucf50.py clips.csv --out data/mine
    python tools/build_ucf50.py VIDEOS --annotations ucfTrainTestlist --out data/mine
    python tools/build_ucf50.py VIDEOS --out data/mine --frames
    python tools/build_ucf50.py VIDEOS --out data/mine --frames --flow

The layout of the clips is recognised: class folders, train/, val/ and test/ over class folders, a table `path,label`,
lists of `path label` lines, the official splits of UCF101 and HMDB51; a clip is a video or a folder of numbered images.
A split that comes with the clips is the protocol `own`. docs/own_data.md has examples.

The clips stay in their folder. With --frames, their decoded frames are stored for training with decoder=FrameStore;
with --flow, the optical flow between their frames is stored as well, for the configs in configs/motion.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import PROTOCOLS, ArgumentParser, count, run

if TYPE_CHECKING:
    from tvn_mmaction.datasets.preparation.frame_store_builder import BuiltStore

NAMES_SHOWN = 10
GROUP_PATTERNS = ('ucf50', 'ucf101', 'hmdb51', 'none')  # those of tvn_mmaction.datasets.preparation.scan


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Build a data root from a folder of clips, for training and testing.')
    parser.add_argument('videos', type=Path, nargs='?', help='folder of the clips, or a table of them')
    parser.add_argument('--annotations', type=Path, metavar='PATH', help='table, list or folder of lists of the clips')
    parser.add_argument(
        '--download', nargs='?', const='', metavar='URL',
        help='download and unpack an archive into OUT first (default: UCF50 from its publisher, 3.2 GB)',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, default=Path('data/ucf50'), help='the data root to write (%(default)s)')
    parser.add_argument(
        '--protocol', '--split', choices=PROTOCOLS, metavar='NAME',
        help=f'protocol of the lists and of the reported leakage, one of {", ".join(PROTOCOLS)} (own if the clips come '
        'with a split, else videowise)',
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='seed of the protocol (%(default)s)')
    parser.add_argument(
        '--group-pattern', metavar='PATTERN',
        help=f'position of the group in file names: {", ".join(GROUP_PATTERNS)}, or a regular expression '
        '(that of the last run, at first ucf50)',
    )  # fmt: skip
    frames = parser.add_argument_group(
        'frames',
        'Stored decoded, for training with decoder=FrameStore. Defaults are those of the last run.',
    )
    frames.add_argument('--frames', action='store_true', help='store frames of all clips as JPEGs in OUT/frames.lmdb')
    frames.add_argument(
        '--short-side', type=count, metavar='N', help='both sides in pixels, at most those of the video (at first 200)'
    )
    frames.add_argument('--quality', type=_quality, metavar='Q', help='quality of the JPEGs, 1 to 100 (at first 90)')
    frames.add_argument(
        '--keep-ratio', action=argparse.BooleanOptionalAction,
        help='only the short side is N, for pipelines that crop (at first no: frames are N x N, as the configs '
        'resize them)',
    )  # fmt: skip
    frames.add_argument(
        '--flow', action=argparse.BooleanOptionalAction,
        help='also store the optical flow from each frame to the next (at first no)',
    )  # fmt: skip
    args = parser.parse_args()
    if (args.videos is None) == (args.download is None):
        parser.error('name the folder of videos or --download, one of the two')
    for name in ('short_side', 'quality', 'keep_ratio', 'flow'):
        if not args.frames and getattr(args, name) is not None:
            parser.error(f'--{name.replace("_", "-")} needs frames. Add --frames.')
    return args


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f'{text}: give a number from 1 to 100')
    return int(text)


def main(args: argparse.Namespace) -> None:
    """Build the data root and print what it holds."""
    from tvn_mmaction.datasets.preparation.builder import build_data_root
    from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
    from tvn_mmaction.datasets.preparation.scan import compile_group_pattern

    if args.group_pattern is not None:
        compile_group_pattern(args.group_pattern)  # before hours of download
    try:
        videos = args.videos or fetch(args.download, args.out)
        summary = build_data_root(videos, args.out, args.protocol, args.seed, args.group_pattern, args.annotations)
        print_clips(summary)
        print_protocol(summary)
        if args.frames:
            print_frames(build_frames(args.out, args.short_side, args.quality, args.keep_ratio, args.flow))
    except KeyboardInterrupt as interruption:
        raise type(interruption)('interrupted. Run the same command again to continue.') from None
    written = ['manifest.csv', 'classes.txt', 'lists', 'summary.json', *(['frames.lmdb'] if args.frames else [])]
    print(f'\nwritten to {args.out}: {", ".join(written)}')
    print(f'next: {next_command(args, summary["protocol"], fold_count=len(summary["folds"]))}')


def next_command(args: argparse.Namespace, protocol: str, fold_count: int) -> str:
    """Return the command that trains with the protocol, on optical flow if it was just stored."""
    root = shlex.quote(str(args.out))
    several = fold_count > 1
    options = [f'split.protocol={protocol}'] if not several and protocol != 'videowise' else []
    options += [f'split.seed={args.seed}'] if args.seed else []
    config = 'configs/motion/tvn1_flow10_ucf50.py' if args.frames and args.flow else 'configs/tvn1_ucf50.py'
    options += ['decoder=FrameStore'] if args.frames and not args.flow else []
    tool, folds = ('cross_validate', f' --protocol {protocol}') if several else ('train', '')
    last = f' --cfg-options {" ".join(options)}' if options else ''
    return f'python tools/{tool}.py {config} --data-root {root}{folds}{last}'


def fetch(url: str, out: Path) -> Path:
    """Download and unpack an archive, by default UCF50's, into `out`, and return the folder of its class folders."""
    from tvn_mmaction.datasets.preparation.archive import extract_archive
    from tvn_mmaction.datasets.preparation.download import UCF50_BYTES, UCF50_URL, download

    url = url or UCF50_URL
    archive = out / (Path(url.partition('?')[0]).name or 'archive')
    videos = archive.with_suffix('') if archive.suffix else archive.with_suffix('.videos')
    download(url, archive, UCF50_BYTES if url == UCF50_URL else None)
    extract_archive(archive, videos)
    return videos


def print_clips(summary: dict) -> None:
    """Print the counts of clips, and problems."""
    print(f'this is      {summary["archive"]}')
    print(f'layout       {summary["layout"]}')
    print(f'clips        {summary["clips"]:,} of {summary["classes"]} classes, {summary["hours"]:.1f} hours')
    print(f'groups       {summary["groups"]:,}')
    if summary['clips_without_group']:
        print(
            f'             {summary["clips_without_group"]:,} clips have no group in their name (pattern '
            f'{summary["group_pattern"]}): each counts as a group of its own,\n'
            '             and if clips are cut from one video, every result is too optimistic; see --group-pattern'
        )
    if summary['regrouped']:
        print(
            f'             {summary["regrouped"]:,} clips have another group than in the last run: folds have changed'
        )
    short = summary['short_clips']
    print(f'short clips  {short["count"]:,} (fewer than {short["frames_below"]} frames)')
    print_names('unreadable', [f'{path}: {problem}' for path, problem in summary['unreadable'].items()])
    print_names('copies', [' = '.join(paths) for paths in summary['copies']])
    print_names('ignored', [f'{path}: {reason}' for path, reason in summary['ignored'].items()])


def print_names(title: str, lines: list[str]) -> None:
    """Print how many there are, and the first of them."""
    print(f'{title:13s}{len(lines)}')
    for line in lines[:NAMES_SHOWN]:
        print(f'  {line}')
    if len(lines) > NAMES_SHOWN:
        print(f'  and {len(lines) - NAMES_SHOWN} more in summary.json')


def print_protocol(summary: dict) -> None:
    """Print the sizes of the folds and the leakage."""
    from tvn_mmaction.datasets import protocols

    folds = summary['folds']
    print(f'protocol     {summary["protocol"]}: {protocols.PROTOCOLS[summary["protocol"]].description}')
    for title, name in (('train clips', 'train'), ('validation', 'validation'), ('test clips', 'test')):
        if sizes := sorted({fold[f'{name}_clips'] for fold in folds if f'{name}_clips' in fold}):
            print(f'{title:13s}' + (f'{sizes[0]}' if len(sizes) == 1 else f'{sizes[0]} to {sizes[-1]}'))
    if len(folds) > 1:
        print(f'folds        {len(folds)}')
    if summary['dropped']:
        groups = ', '.join(summary['dropped_groups'][:NAMES_SHOWN])
        more = len(summary['dropped_groups']) - NAMES_SHOWN
        reason = 'that the split uses in no fold' if summary['protocol'] == 'own' else 'that not every class has'
        print(
            f'dropped      {summary["dropped"]} clips of groups {reason}: {groups}'
            + (f' and {more} more' if more > 0 else '')
        )
    leaks = False
    for name in ('test', 'validation'):
        tested, same_group, copies = (
            sum(fold.get(f'{name}_clips{suffix}', 0) for fold in folds)
            for suffix in ('', '_with_sibling_in_train', '_with_copy_in_train')
        )
        if tested:
            print(f'leak         {same_group} of {tested} {name} clips share their source video with training clips')
        if copies:
            print(f'             {copies} of {tested} {name} clips are also in training, under another name')
        leaks = leaks or same_group > 0
    if leaks:
        print('             whole source videos are tested with --cfg-options split.protocol=group5')


def print_frames(store: BuiltStore) -> None:
    """Print the size of the frame store."""
    print(f'frames       {store.frames:,} of {store.clips:,} clips, {store.settings}: {store.bytes / 1e9:.2f} GB')
    print(f'             {store.decoded:,} clips were decoded' + f', {store.removed:,} removed' * bool(store.removed))
    if store.flow_ms is not None:
        print(f'flow         {store.flow_ms:.1f} ms a frame on one core')


if __name__ == '__main__':
    run(parse_args, main)
