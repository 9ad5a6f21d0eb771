r"""Search values of a config, by grid or by chance, on the validation.

    python tools/sweep.py configs/tvn1_ucf50.py --grid optim_wrapper.optimizer.lr=0.003,0.01,0.03 \
        model.cls_head.dropout_ratio=0.5,0.8
    python tools/sweep.py configs/tvn1_ucf50.py --space space.yaml --samples 30 --runner ray --workers 8

Each trial trains on the subset fit and is measured on the validation, some of the train clips, whole groups where the
protocol tests those; the test clips are never read. With --runner ray those that lag behind are stopped early; local
ones all have their epochs. Trials are processes of their own, and those that are over are never run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import (
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

if TYPE_CHECKING:
    from tvn_mmaction.experiments.sweep.sweep_plan import SweepPlan


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Search values of a config, on the validation.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    space = parser.add_mutually_exclusive_group(required=True)
    space.add_argument(
        '--grid', nargs='+', action='extend', type=key_value, metavar='KEY=A,B,...', help='values of options'
    )
    space.add_argument(
        '--space', type=Path, metavar='SPACE.yaml',
        help='by option, values or a distribution such as {loguniform: [0.001, 0.1]}',
    )  # fmt: skip
    parser.add_argument('--samples', type=count, metavar='N', help='how many choices are drawn (all of a grid)')
    add_job_arguments(parser, 'trials')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for all that is written (work_dirs/sweep_CONFIG)')
    add_cfg_options(parser, 'change all trials')
    args = parser.parse_args()
    names = [word.partition('=')[0] for word in args.grid or ()]
    if twice := next((name for name in names if names.count(name) > 1), None):
        parser.error(f'--grid: {twice} is there twice; give all its values in one, as in {twice}=A,B')
    check_job_arguments(parser, args)
    return args


def main(args: argparse.Namespace) -> int:
    """Run the trials that are not over, and write and print what all found."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.experiments.sweep.sweep_plan import plan, read_space
    from tvn_mmaction.utils.io import folder_lock
    from tvn_mmaction.utils.output_paths import make_folder

    space = read_space(args.space) if args.space else grid(args.grid)
    work_dir = Path(args.work_dir or Path('work_dirs', f'sweep_{config_name(args.config)}'))
    make_folder(work_dir, '--work-dir')
    with folder_lock(work_dir):
        planned = plan(
            args.config,
            space,
            args.samples,
            work_dir,
            data_root=args.data_root,
            options=parse_options(args.cfg_options),
        )
        return search(args, planned)


def search(args: argparse.Namespace, planned: SweepPlan) -> int:
    """See `main`."""
    from tvn_mmaction.experiments.scheduling.job_runs import prepare_unfinished, run_unfinished
    from tvn_mmaction.experiments.sweep.sweep_plan import collect
    from tvn_mmaction.experiments.sweep.sweep_record import as_options, describe_sweep

    jobs = [trial.job for trial in planned.trials]
    unfinished = prepare_unfinished(jobs, [trial.job for trial in planned.trials if not trial.stopped], args.resume)
    if args.runner == 'ray' and unfinished:
        from tvn_mmaction.experiments.sweep.ray_tune import run_with_early_stopping

        all_went_well = run_with_early_stopping(args, [one for one in planned.trials if one.job in unfinished])
    else:
        all_went_well = run_unfinished(args, jobs, unfinished, 'trials')
    record = collect(planned)
    if record:
        print(describe_sweep(record))
        print(f'in {planned.folder}: sweep.json, sweep.png')
        print(f'next: {next_command(args, "train", args.config, options=as_options(record.trials[0].options))}')
    return 0 if all_went_well else 1


def grid(words: list[str]) -> dict[str, list]:
    """Return the values of `KEY=A,B,...` words by key."""
    values = parse_options(words)
    return {key: value if isinstance(value, list) else [value] for key, value in values.items()}


if __name__ == '__main__':
    run(parse_args, main)
