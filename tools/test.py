"""Test a checkpoint.

python tools/test.py configs/tvn1_ucf50.py work_dirs/tvn1_ucf50/epoch_40.pth --eval top_k_accuracy
python tools/test.py configs/early_exit/tsm_r18_exits_ucf50.py calibrated_epoch_40.pth --budget 0.5
"""

import argparse
import os
from pathlib import Path

from command_line import ArgumentParser, add_cfg_options, config_file, parse_options, run, share

# As in tvn_mmaction.evaluation.report.
EVALUATIONS = ('top_k_accuracy', 'mean_class_accuracy', 'confusion_matrix', 'hardest')


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Test a checkpoint.')
    parser.add_argument('config', type=config_file, help='the config that it was trained with')
    parser.add_argument('checkpoint', help='the weights')
    parser.add_argument(
        '--eval', nargs='+', choices=EVALUATIONS, default=list(EVALUATIONS), metavar='METRIC',
        help=f'metrics to print, of {", ".join(EVALUATIONS)} (all); the result file has all',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, metavar='FILE', help="every clip's scores, as .json or .pkl")
    parser.add_argument('--average-clips', choices=['prob', 'score'], help="how the views' scores are averaged")
    parser.add_argument(
        '--budget', type=share, metavar='SHARE',
        help="share of the full network's cost, for early-exit networks calibrated with tools/calibrate.py (1)",
    )  # fmt: skip
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for the result (work_dirs/CONFIG/test, with --budget below it)')
    add_cfg_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Test, print the result and its files, and return 1 if clips could not be read."""
    from tvn_mmaction.apis.train_test import test
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.evaluation.report import (
        check_predictions_file,
        describe,
        describe_confusions,
        describe_hardest,
        write_predictions,
    )
    from tvn_mmaction.evaluation.result import Scores

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.out:
        check_predictions_file(args.out)
    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if not args.work_dir:  # next to the result of the training
        config.work_dir = str(Path(config.work_dir, 'test'))
        if args.budget:  # and not over that of the full network
            config.work_dir = str(Path(config.work_dir, f'{Path(args.checkpoint).stem}_budget_{args.budget:g}'))
    config.launcher = args.launcher
    if args.average_clips:
        config.model.cls_head.average_clips = args.average_clips
    result = test(config, args.checkpoint, args.budget)
    if result is None:
        return 0
    scores = Scores.load(Path(config.work_dir, 'scores.npz'))
    print(describe(result, config.work_dir, args.eval))
    if 'confusion_matrix' in args.eval:
        print(describe_confusions(scores))
    if 'hardest' in args.eval:
        print(describe_hardest(scores))
    if args.out:
        write_predictions(scores, args.out)
        print(f'scores of every clip: {args.out}')
    return int(bool(result.broken_clips['test']))


if __name__ == '__main__':
    run(parse_args, main)
