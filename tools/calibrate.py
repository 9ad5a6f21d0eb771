"""Fit the thresholds of a network with early exits for budgets, and measure accuracy and latency under them.

    python tools/train.py configs/early_exit/tsm_r18_exits_ucf50.py
    python tools/calibrate.py configs/early_exit/tsm_r18_exits_ucf50.py work_dirs/tsm_r18_exits_ucf50/epoch_40.pth

A budget is a share of the full network's multiply-accumulates, or with --cost latency of its milliseconds on this
machine. The thresholds are fitted on the validation split, which the network was not trained on, and stored in a new
checkpoint for tools/test.py --budget, together with those of earlier budgets. Accuracy and latency under each budget
are measured once on the test clips; do not run anything else at the same time. Repeat an interrupted command to
continue.
"""

import argparse
from pathlib import Path

from command_line import ArgumentParser, add_cfg_options, config_file, count, next_command, parse_options, run, share


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Fit the thresholds of a network with early exits for budgets.')
    parser.add_argument('config', type=config_file, help='of the network')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument(
        '--budgets', nargs='+', type=share, metavar='SHARE', help='(those of 0.3, 0.4, ... 1 that the network can keep)'
    )
    parser.add_argument(
        '--cost', choices=['macs', 'latency'], default='macs', help='what budgets are shares of (%(default)s)'
    )
    parser.add_argument(
        '--rounds', type=count, default=3, metavar='N', help='repetitions on each test clip, in turns (%(default)s)'
    )
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for the record (work_dirs/CONFIG/calibration, ..._latency)')
    add_cfg_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Calibrate, and print the tables and the next command."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.early_exit.early_exit_report import budgets_table, classes_table, describe_budgets
    from tvn_mmaction.early_exit.threshold_calibration import calibrate

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if not args.work_dir:  # next to the result of the training
        config.work_dir = str(Path(config.work_dir, 'calibration' if args.cost == 'macs' else 'calibration_latency'))
    try:
        report, calibrated = calibrate(config, args.checkpoint, args.budgets, args.rounds, args.cost)
    except KeyboardInterrupt as interruption:
        raise type(interruption)(
            f'interrupted; partial results are in {config.work_dir}. Repeat the command to continue.'
        ) from None
    print(budgets_table(report))
    print(f'exits by class at budget {report.classes_budget:g}:')
    print(classes_table(report))
    print(describe_budgets(report))
    budgets = ', '.join(f'{policy.budget:g}' for policy in report.calibration.settings)
    print(f'in {config.work_dir}: budgets.json, budgets.png; thresholds for {budgets}: {calibrated}')
    budget = ('--budget', f'{report.classes_budget:g}')
    print(f'next: {next_command(args, "test", args.config, calibrated, *budget)}')


if __name__ == '__main__':
    run(parse_args, main)
