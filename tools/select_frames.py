r"""Score frames of every clip, so that recognizers can use the best of them, and compare this with other samplings.

    python tools/select_frames.py configs/frame_selection/frame_selector_ucf50.py CHECKPOINT
    python tools/select_frames.py configs/tvn1_ucf50.py --method random
    python tools/select_frames.py configs/tvn1_ucf50.py work_dirs/tvn1_ucf50/epoch_40.pth --method oracle

Clips that the file contains already are not scored again. The oracle uses the labels of the test clips: it is an upper
bound of selection, not a method. With --compare, a recognizer is tested on frames that were sampled uniformly, one per
segment, from the first 80 frames, at random, by the selection in a file, and by the oracle:

    python tools/select_frames.py configs/baselines/tsn_r18_ucf50.py 2=two.pth 4=four.pth 8=eight.pth \
        --compare work_dirs/selection/smart.json --out configs/results/frame_selection/tsn_r18.json

Repeat an interrupted command to continue.
"""

import argparse
from pathlib import Path

from command_line import ArgumentParser, add_cfg_options, config_file, count, next_command, parse_options, run


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Score frames of every clip, or compare samplings of frames.')
    parser.add_argument('config', type=config_file, help='of the selector; of a recognizer for the other methods')
    parser.add_argument(
        'checkpoints', nargs='*', metavar='CHECKPOINT',
        help='its weights, except for --method random; with --compare N=CHECKPOINT, the weights for N frames',
    )  # fmt: skip
    parser.add_argument(
        '--method', choices=['smart', 'random', 'oracle'], default='smart',
        help="by a selector's scores, at random, or by a recognizer's probability of the true class (%(default)s)",
    )  # fmt: skip
    parser.add_argument('--candidates', type=count, default=16, metavar='N', help='frames per clip (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of --method random (%(default)s)')
    parser.add_argument(
        '--compare', type=Path, metavar='SELECTION', help='compare samplings of frames, one by this file of scores'
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='(work_dirs/selection/METHOD.json)')
    parser.add_argument('--work-dir', help='folder for single results of --compare (work_dirs/CONFIG/samplings)')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    (check_comparison if args.compare else check_selection)(parser, args)
    return args


def check_selection(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the arguments without --compare, and set `args.checkpoint`."""
    if args.work_dir:
        parser.error(f'--work-dir {args.work_dir} is for --compare. Add it, or use --out.')
    if args.method == 'random' and args.checkpoints:
        parser.error(f'--method random uses no weights. Leave {args.checkpoints[0]} out.')
    if args.method != 'random' and len(args.checkpoints) != 1:
        given = f'{len(args.checkpoints)} are given' if args.checkpoints else 'none is given'
        parser.error(f'--method {args.method} needs a checkpoint and {given}. Name one after {args.config}.')
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: give a whole number, 0 or more')
    args.checkpoint = Path(args.checkpoints[0]) if args.checkpoints else None
    args.out = args.out or Path('work_dirs/selection', f'{args.method}.json')


def check_comparison(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the arguments with --compare, and make `args.checkpoints` a dict by number of frames."""
    if not args.checkpoints or not args.out:
        parser.error(f'--compare {args.compare} needs checkpoints and a file. Add N=CHECKPOINT and --out FILE.')
    checkpoints = {}
    for word in args.checkpoints:
        frames, _, checkpoint = word.partition('=')
        if not frames.isdecimal() or not int(frames) or not checkpoint:
            parser.error(f'{word}: give N=CHECKPOINT, where N is a number of frames')
        if int(frames) in checkpoints:
            parser.error(f'{frames}=CHECKPOINT is given twice. Name one for each number of frames.')
        checkpoints[int(frames)] = Path(checkpoint)
    args.checkpoints = checkpoints


def main(args: argparse.Namespace) -> None:
    """Select frames, or compare samplings."""
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    (compare if args.compare else select)(args)
    print(f'written: {args.out}')


def select(args: argparse.Namespace) -> None:
    """Score the candidates of every clip, and print the next command."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.frame_selection.scoring import select_frames
    from tvn_mmaction.utils.console import warn

    options = parse_options(args.cfg_options)
    if args.method == 'smart':  # a selector gets all candidates at once
        options['clip.frames'] = args.candidates
    config = read_config(args.config, data_root=args.data_root, options=options)
    selection = select_frames(config, args.checkpoint, args.method, args.candidates, args.out, seed=args.seed)
    labels = ', which uses the labels' if selection.looks_at_labels else ''
    print(f'{len(selection.clips)} clips with scores of {selection.candidates} frames each, by {args.method}{labels}')
    if selection.macs:
        print(f'the selector takes {selection.macs / 1e9:.2f} GMACs per video')
    if undecided := len(selection.undecided):
        remedy = ' Train the selector longer.' if args.method == 'smart' else ''
        warn(
            f'all frames of {undecided} of the {len(selection.clips)} clips have equal scores, within 0.1 %. Their '
            f'first frames are selected, which does not evaluate the method.{remedy}'
        )
    if not selection.looks_at_labels:
        trained = 'configs/frame_selection/tvn1_selected_ucf50.py'
        print(f'next: {next_command(args, "train", trained, options=[f"selection={args.out}"])}')


def compare(args: argparse.Namespace) -> None:
    """Test a recognizer with every sampling, and print the table."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.frame_selection.sampling_comparison import compare_samplings
    from tvn_mmaction.frame_selection.sampling_record import describe_samplings, samplings_table

    comparison = compare_samplings(
        args.config,
        args.checkpoints,
        args.compare,
        args.out,
        args.work_dir or str(Path('work_dirs', config_name(args.config), 'samplings')),
        args.data_root,
        parse_options(args.cfg_options),
    )
    print(f'{samplings_table([comparison])}\n{describe_samplings([comparison])}')


if __name__ == '__main__':
    run(parse_args, main)
