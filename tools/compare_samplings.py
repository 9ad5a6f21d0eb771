r"""Test a recognizer on frames that were sampled in different ways, and keep the record.

    python tools/compare_samplings.py configs/baselines/tsn_r18_ucf50.py 2=two.pth 4=four.pth 8=eight.pth \
        --selection work_dirs/selection/smart.json --out configs/results/frame_selection/tsn_r18.json

Uniform, one of each segment, the first 80 frames, by chance, by a selector (the file of tools/select_frames.py), and
by an oracle that looks at the labels. Interrupted, the same command goes on: nothing is tested twice.
"""

import argparse
from pathlib import Path

from command_line import add_cfg_options, config_file, parse_options, run


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Test a recognizer on frames that were sampled in different ways.')
    parser.add_argument('config', type=config_file, help='of the recognizer')
    parser.add_argument(
        'checkpoints', nargs='+', type=_checkpoint, metavar='N=CHECKPOINT', help='its weights for N frames'
    )
    parser.add_argument('--selection', type=Path, required=True, metavar='FILE', help='of tools/select_frames.py')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='the record')
    parser.add_argument('--work-dir', help='folder for the single results (work_dirs/CONFIG/samplings)')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    counts = [frames for frames, _ in args.checkpoints]
    if twice := [frames for frames in counts if counts.count(frames) > 1]:
        parser.error(f'{twice[0]}=CHECKPOINT is there twice: name one for each number of frames')
    return args


def _checkpoint(text: str) -> tuple[int, Path]:
    frames, equals, checkpoint = text.partition('=')
    if not equals or not frames.isdecimal() or not int(frames) or not checkpoint:
        raise argparse.ArgumentTypeError(f'{text}: give N=CHECKPOINT, where N is a number of frames')
    return int(frames), Path(checkpoint)


def main(args: argparse.Namespace) -> None:
    """Compare, print the table, and say where the record lies."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.frame_selection.sampling_comparison import compare_samplings
    from tvn_mmaction.frame_selection.sampling_record import describe_samplings, samplings_table
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    comparison = compare_samplings(
        args.config,
        dict(args.checkpoints),
        args.selection,
        args.out,
        args.work_dir or str(Path('work_dirs', config_name(args.config), 'samplings')),
        args.data_root,
        parse_options(args.cfg_options),
    )
    print(f'{samplings_table([comparison])}\n{describe_samplings([comparison])}\nwritten: {args.out}')


if __name__ == '__main__':
    run(parse_args, main)
