"""Train and test the model of a config on all folds of a protocol.

    python tools/cross_validate.py configs/tvn1_demo.py
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --workers 4
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --runner ray --address auto

Each fold is a process of its own; one that dies is started a second time and goes on from its last checkpoint. Finished
folds are never run again. With Ray, videos and work directory are on a file system that all nodes share.
"""

import argparse

from command_line import (
    PROTOCOLS,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    fold_numbers,
    parse_options,
    run,
)


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train and test the model of a config on all folds of a protocol.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    parser.add_argument(
        '--protocol', choices=PROTOCOLS, metavar='NAME',
        help=f"which clips each fold tests, one of {', '.join(PROTOCOLS)} (the config's)",
    )  # fmt: skip
    parser.add_argument('--folds', type=fold_numbers, help='numbers and ranges such as 0,3-7 (all)')
    add_job_arguments(parser, 'folds')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for checkpoints, logs and results (work_dirs/CONFIG)')
    add_cfg_options(parser)
    args = parser.parse_args()
    check_job_arguments(parser, args)
    return args


def main(args: argparse.Namespace) -> int:
    """Run the folds that are not finished, and print what all finished ones found and which ones failed."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.experiments.cross_validation.cross_validation_plan import collect, plan
    from tvn_mmaction.experiments.cross_validation.cross_validation_record import describe_cross_validation
    from tvn_mmaction.experiments.scheduling.job_runs import prepare_unfinished, run_unfinished

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    whole = plan(config, args.protocol)
    folds = whole.choose(args.folds or range(len(whole.folds)))
    all_went_well = run_unfinished(args, folds, prepare_unfinished(whole.folds, folds, args.resume), 'folds')
    record = collect(whole)
    if record:
        print(describe_cross_validation(record))
        print(f'in {whole.folder}: cross_validation.json, scores.npz, folds.png, confusion_matrix.png')
    return 0 if all_went_well else 1


if __name__ == '__main__':
    run(parse_args, main)
