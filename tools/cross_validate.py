"""Train and test the model of a config on all folds of a protocol.

    python tools/cross_validate.py configs/tvn1_demo.py
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --workers 4
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --runner ray --address auto

Each fold runs in a process of its own. If it dies, a second one resumes from its last checkpoint. Finished folds are
never run again. With Ray, all nodes must share the file system of the videos and the work directory.
"""

import argparse

from command_line import (
    PROTOCOLS,
    ArgumentParser,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    fold_numbers,
    parse_options,
    run,
)


def parse_args() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = ArgumentParser(description='Train and test the model of a config on all folds of a protocol.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    parser.add_argument(
        '--protocol', choices=PROTOCOLS, metavar='NAME',
        help=f"how clips are divided into folds, one of {', '.join(PROTOCOLS)} (the config's)",
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
    """Run unfinished folds, write the record of all finished ones, and print it."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.experiments.cross_validation.cross_validation_plan import (
        collect_cross_validation,
        plan_cross_validation,
    )
    from tvn_mmaction.experiments.cross_validation.cross_validation_record import describe_cross_validation
    from tvn_mmaction.experiments.scheduling.job_runs import run_jobs

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    plan = plan_cross_validation(config, args.protocol)
    succeeded = run_jobs(args, plan.folds, 'folds', plan.choose(args.folds or range(len(plan.folds))))
    if record := collect_cross_validation(plan):
        print(describe_cross_validation(record))
        print(f'in {plan.folder}: cross_validation.json, scores.npz, folds.png, confusion_matrix.png')
    return 0 if succeeded else 1


if __name__ == '__main__':
    run(parse_args, main)
