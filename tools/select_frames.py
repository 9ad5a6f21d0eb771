"""Score frames of every clip, so that recognizers can take the best of them.

    python tools/select_frames.py configs/frame_selection/frame_selector_ucf50.py CHECKPOINT
    python tools/select_frames.py configs/tvn1_ucf50.py --method random
    python tools/select_frames.py configs/tvn1_ucf50.py work_dirs/tvn1_ucf50/epoch_40.pth --method oracle

A file that is there already goes on with the clips that it lacks. The oracle looks at the labels of the test: it says
what selection could be worth at most, and is no method.
"""

import argparse
from pathlib import Path

from command_line import add_cfg_options, config_file, count, next_command, parse_options, run


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Score frames of every clip.')
    parser.add_argument('config', type=config_file, help='of the selector; with another method, of a recognizer')
    parser.add_argument('checkpoint', type=Path, nargs='?', help='its weights; random needs none')
    parser.add_argument(
        '--method', choices=['smart', 'random', 'oracle'], default='smart',
        help="by a selector's scores, by chance, or by a recognizer's probability of the true class (%(default)s)",
    )  # fmt: skip
    parser.add_argument('--candidates', type=count, default=16, metavar='N', help='frames of each clip (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of --method random (%(default)s)')
    parser.add_argument('--out', type=Path, metavar='FILE', help='(work_dirs/selection/METHOD.json)')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.method == 'random' and args.checkpoint:
        parser.error(f'--method random needs no checkpoint: leave {args.checkpoint} out')
    if args.method != 'random' and not args.checkpoint:
        parser.error(f'--method {args.method} needs a checkpoint: name one behind {args.config}')
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: give a whole number, 0 or more')
    args.out = args.out or Path('work_dirs/selection', f'{args.method}.json')
    return args


def main(args: argparse.Namespace) -> None:
    """Select, and say what was made and where it lies."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.frame_selection.scoring import select_frames
    from tvn_mmaction.utils.console import console
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    options = parse_options(args.cfg_options)
    if args.method == 'smart':  # a selector sees all candidates at once
        options['clip.frames'] = args.candidates
    config = read_config(args.config, data_root=args.data_root, options=options)
    selection = select_frames(config, args.checkpoint, args.method, args.candidates, args.out, seed=args.seed)
    looks = ', which looks at the labels' if selection.looks_at_labels else ''
    print(
        f'{len(selection.clips)} clips with the scores of {selection.candidates} frames each, by {args.method}{looks}'
    )
    if selection.macs:
        print(f'the selector takes {selection.macs / 1e9:.2f} GMACs a video')
    print(f'written: {args.out}')
    if alike := len(selection.undecided):
        cure = '; train the selector longer' if args.method == 'smart' else ''
        console.print(
            f'of {alike} of the {len(selection.clips)} clips all frames score alike, within 0.1 %: the first ones are '
            f'taken, which says nothing of the method{cure}',
            style='yellow',
            highlight=False,
            soft_wrap=True,
        )
    if not selection.looks_at_labels:
        trained = 'configs/frame_selection/tvn1_selected_ucf50.py'
        print(f'next: {next_command(args, "train", trained, options=[f"selection={args.out}"])}')


if __name__ == '__main__':
    run(parse_args, main)
