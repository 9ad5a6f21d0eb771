"""Fit the thresholds of a network with early exits for budgets, and measure what they give.

    python tools/train.py configs/early_exit/tsm_r18_exits_ucf50.py
    python tools/calibrate.py configs/early_exit/tsm_r18_exits_ucf50.py work_dirs/tsm_r18_exits_ucf50/epoch_40.pth

A budget is a share of the full network's multiply-accumulates, or with --cost latency of its milliseconds on this
machine. The thresholds are fitted on the validation, which the network was not trained on, and kept in a new checkpoint
for tools/test.py --budget, which goes on to have all budgets that it had before; the test is looked at once, for
accuracy and milliseconds under each budget. Nothing else should run meanwhile. Interrupted, the same command goes on.
"""

import argparse
from pathlib import Path

from command_line import add_cfg_options, config_file, count, next_command, parse_options, run, share


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Fit the thresholds of a network with early exits for budgets.')
    parser.add_argument('config', type=config_file, help='what it was trained with')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument(
        '--budgets', nargs='+', type=share, metavar='SHARE', help='those of 0.3, 0.4, ... 1 that can be kept'
    )
    parser.add_argument(
        '--cost', choices=['macs', 'latency'], default='macs', help='what budgets are shares of (%(default)s)'
    )
    parser.add_argument(
        '--rounds', type=count, default=3, metavar='N', help='turns of all budgets on each test clip (%(default)s)'
    )
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for the record (work_dirs/CONFIG/calibration, ..._latency)')
    add_cfg_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Calibrate, print the tables, and say where everything lies."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.early_exit.calibration import calibrate
    from tvn_mmaction.early_exit.early_exit_report import budgets_table, classes_table, describe_budgets

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if not args.work_dir:  # beside the result of the training
        config.work_dir = str(Path(config.work_dir, 'calibration' if args.cost == 'macs' else 'calibration_latency'))
    try:
        record, calibrated = calibrate(config, args.checkpoint, args.budgets, args.rounds, args.cost)
    except KeyboardInterrupt as interruption:
        raise type(interruption)(f'interrupted; the same command goes on with what lies in {config.work_dir}') from None
    print(budgets_table(record))
    print(f'who leaves at budget {record.classes_budget:g}:')
    print(classes_table(record))
    print(describe_budgets(record))
    budgets = ', '.join(f'{setting.budget:g}' for setting in record.calibration.settings)
    print(f'in {config.work_dir}: budgets.json, budgets.png; thresholds for {budgets}: {calibrated}')
    budget = ('--budget', f'{record.classes_budget:g}')
    print(f'next: {next_command(args, "test", args.config, calibrated, *budget)}')


if __name__ == '__main__':
    run(parse_args, main)
