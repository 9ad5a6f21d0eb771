"""Write the lists that training and testing read, from a folder of class folders such as UCF50.

    python tools/build_ucf50.py UCF50 --out data/ucf50

The clips stay where they are.
"""

import argparse
import shlex
from pathlib import Path

from tvn_mmaction.datasets.annotation import PROTOCOLS, build
from tvn_mmaction.errors import run_tool

UNREADABLE_SHOWN = 10


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Write the lists of clips that training and testing read.')
    parser.add_argument('videos', type=Path, help='folder that holds one folder of clips per class')
    parser.add_argument('--out', type=Path, default=Path('data/ucf50'), help='folder for the lists (%(default)s)')
    parser.add_argument(
        '--split',
        choices=PROTOCOLS,
        default='videowise',
        help='videowise: random clips of each class; ucf101like: groups 01-07 test, the rest train (%(default)s)',
    )
    parser.add_argument('--test-ratio', type=float, default=0.15, help="videowise's share of test clips (%(default)s)")
    parser.add_argument('--seed', type=int, default=0, help="videowise's choice of test clips (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Build the lists and print what they hold."""
    args = parse_args()
    summary = build(args.videos, args.out, args.split, args.test_ratio, args.seed)
    short, unreadable = summary['short_clips'], summary['unreadable']
    print(f'split        {args.split}')
    print(f'classes      {summary["classes"]}')
    print(f'train clips  {summary["train_clips"]}')
    print(f'test clips   {summary["test_clips"]}')
    print(f'groups       {summary["groups"]}')
    print(f'short clips  {short["count"]} (fewer than {short["frames_below"]} frames)')
    print(f'unreadable   {len(unreadable)}')
    for path, problem in list(unreadable.items())[:UNREADABLE_SHOWN]:
        print(f'  {path}: {problem}')
    if len(unreadable) > UNREADABLE_SHOWN:
        print(f'  and {len(unreadable) - UNREADABLE_SHOWN} more in summary.json')
    siblings = summary['test_clips_with_sibling_in_train']['count']
    print(f'{siblings} of {summary["test_clips"]} test clips have a sibling of the same long video in train')
    print(f'\nwritten to {args.out}: classes.txt, train.txt, test.txt, summary.json')
    print(f'next: python tools/train.py configs/tvn1_ucf50.py --data-root {shlex.quote(str(args.out))}')


if __name__ == '__main__':
    run_tool(main)
