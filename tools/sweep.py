r"""Search values of config options on the validation, by grid or random sampling.

    python tools/sweep.py configs/tvn1_ucf50.py --grid optim_wrapper.optimizer.lr=0.003,0.01,0.03 \
        model.cls_head.dropout_ratio=0.5,0.8
    python tools/sweep.py configs/tvn1_ucf50.py --space space.yaml --samples 30 --runner ray --workers 8

Each trial is trained on the subset fit and measured on the validation: held-out train clips, in whole groups if the
protocol tests whole groups. The test clips are never read. With --runner ray, the worse trials are stopped early.
Each trial runs in a process of its own, and finished ones are never run again.
"""

import argparse
from pathlib import Path

from command_line import (
    ArgumentParser,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    count,
    key_value,
    next_command,
    parse_options,
    run,
)


def parse_args() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = ArgumentParser(description='Search values of config options on the validation.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    space = parser.add_mutually_exclusive_group(required=True)
    space.add_argument(
        '--grid', nargs='+', action='extend', type=key_value, metavar='KEY=A,B,...', help='values of options'
    )
    space.add_argument(
        '--space', type=Path, metavar='SPACE.yaml',
        help='values or a distribution such as {loguniform: [0.001, 0.1]}, by option',
    )  # fmt: skip
    parser.add_argument('--samples', type=count, metavar='N', help='number of random choices (all of a grid)')
    add_job_arguments(parser, 'trials')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='output folder (work_dirs/sweep_CONFIG)')
    add_cfg_options(parser, 'change all trials')
    args = parser.parse_args()
    names = [word.partition('=')[0] for word in args.grid or ()]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        parser.error(f'--grid: {repeated} is given twice. Give all its values at once, as in {repeated}=A,B.')
    check_job_arguments(parser, args)
    return args


def main(args: argparse.Namespace) -> int:
    """Run unfinished trials, write the record, and print it."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.experiments.options_file import option_words
    from tvn_mmaction.experiments.scheduling.job_runs import locked_work_dir, run_in_pool, run_jobs
    from tvn_mmaction.experiments.sweep.sweep_plan import collect_sweep, plan_sweep, read_space, stopped_early
    from tvn_mmaction.experiments.sweep.sweep_record import describe_sweep

    space = read_space(args.space) if args.space else grid(args.grid)
    options = parse_options(args.cfg_options)
    with locked_work_dir(args.work_dir, f'sweep_{config_name(args.config)}') as work_dir:
        plan = plan_sweep(args.config, space, args.samples, work_dir, data_root=args.data_root, options=options)
        trials = [job for job in plan.jobs if not stopped_early(job)]
        runner = with_early_stopping if args.runner == 'ray' else run_in_pool
        succeeded = run_jobs(args, plan.jobs, 'trials', trials, runner)
        record = collect_sweep(plan)
    if record:
        print(describe_sweep(record))
        print(f'in {work_dir}: sweep.json, sweep.png')
        best = option_words(record.trials[0].options)
        print(f'next: {next_command(args, "train", args.config, options=best)}')
    return 0 if succeeded else 1


def with_early_stopping(*args: object) -> bool:
    """Call `run_with_early_stopping`, which imports Ray."""
    from tvn_mmaction.experiments.sweep.ray_tune import run_with_early_stopping

    return run_with_early_stopping(*args)


def grid(words: list[str]) -> dict[str, list]:
    """Return the values of `KEY=A,B,...` words by key."""
    values = parse_options(words)
    return {key: value if isinstance(value, list) else [value] for key, value in values.items()}


if __name__ == '__main__':
    run(parse_args, main)
