"""Train, test and measure networks on the same terms, and write a report that sets them side by side.

    python tools/compare.py configs/tvn1_demo.py configs/baselines/tsn_r18_ucf50.py configs/baselines/x3d_s_ucf50.py
    python tools/compare.py configs/tvn1_ucf50.py configs/baselines/ts?_r50*.py --protocol group5 --budget epochs=20

The first config gives data, split, schedule, augmentation, frames and pixels; the others keep their network and the way
that it samples. Networks that have a result are not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import (
    PROTOCOLS,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    parse_options,
    run,
)

if TYPE_CHECKING:
    from tvn_mmaction.experiments.comparison.comparison_plan import Budget

ROUNDS = 7  # of the benchmark


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train, test and measure networks on the same terms, and report.')
    parser.add_argument(
        'configs', nargs='+', type=config_file, metavar='CONFIG', help='two or more; the first one gives the terms'
    )
    parser.add_argument(
        '--protocol', choices=PROTOCOLS, metavar='NAME', help=f"one of {', '.join(PROTOCOLS)} (the first config's)"
    )
    parser.add_argument('--budget', metavar='epochs=N|minutes=M', help="of each training (the first config's epochs)")
    parser.add_argument(
        '--own-input', action='store_true', help='networks keep the frames and pixels of their own configs'
    )
    parser.add_argument(
        '--pretrained', action='store_true', help='add the networks that have published weights, starting from these'
    )
    add_job_arguments(parser, 'networks')
    parser.add_argument('--data-root', help="folder of the manifest (the first config's)")
    parser.add_argument('--work-dir', help='folder for all that is written (work_dirs/compare_FIRST)')
    add_cfg_options(parser, 'change the first config')
    args = parser.parse_args()
    check_job_arguments(parser, args)
    if len(args.configs) < 2:
        parser.error(f'{args.configs[0]} alone cannot be compared: name two configs or more')
    return args


def main(args: argparse.Namespace) -> int:
    """Measure, train what has no result, and write the report of all that have one."""
    from tvn_mmaction.experiments.comparison.comparison_plan import Budget
    from tvn_mmaction.utils.io import folder_lock
    from tvn_mmaction.utils.output_paths import make_folder

    budget = Budget.parse(args.budget) if args.budget else Budget()
    work_dir = Path(args.work_dir or Path('work_dirs', f'compare_{Path(args.configs[0]).stem}'))
    make_folder(work_dir, '--work-dir')
    with folder_lock(work_dir):
        return compare(args, budget, work_dir)


def compare(args: argparse.Namespace, budget: Budget, work_dir: Path) -> int:
    """See `main`; everything is written into `work_dir`."""
    from tvn_mmaction.benchmark.timing import measured
    from tvn_mmaction.config.dataset_building import middle_frames
    from tvn_mmaction.experiments.comparison.comparison import load_comparison
    from tvn_mmaction.experiments.comparison.comparison_plan import jobs_of, on_same_terms, within_budget
    from tvn_mmaction.experiments.comparison.html_report import write_report
    from tvn_mmaction.experiments.scheduling.job_runs import prepare_unfinished, run_unfinished

    options = parse_options(args.cfg_options)
    configs = on_same_terms(
        args.configs, work_dir, args.data_root, options, args.protocol, args.own_input, args.pretrained
    )
    benchmark = measured(configs, work_dir / 'benchmark.json', ROUNDS)
    configs = within_budget(configs, budget, benchmark, work_dir)
    jobs = jobs_of(configs)
    all_went_well = run_unfinished(args, jobs, prepare_unfinished(jobs, jobs, args.resume), 'networks')
    comparison = load_comparison(work_dir, [job.name for job in jobs if job.result()])
    frames = middle_frames(configs[0], 'test_dataloader', comparison.disputed_clips)
    written = write_report(comparison, frames, work_dir / 'report')
    print((work_dir / 'report/report.md').read_text(encoding='utf-8'))
    print(f'in {work_dir / "report"}: {", ".join(path.name for path in written)}')
    return 0 if all_went_well else 1


if __name__ == '__main__':
    run(parse_args, main)
