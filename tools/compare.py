"""Train, test and measure networks on the same terms, and write a report that sets them side by side.

    python tools/compare.py configs/tvn1_demo.py configs/compare/tsn_r18_ucf50.py configs/compare/x3d_s_ucf50.py
    python tools/compare.py configs/tvn1_ucf50.py configs/compare/ts?_r50_ucf50.py --protocol group5 --budget epochs=20

The first config gives data, split, schedule, augmentation, frames and pixels; the others keep their network and the way
that it samples. Networks that have a result are not trained again.
"""

import argparse
from pathlib import Path

from mmengine.config import DictAction

from tvn_mmaction.comparison import load_comparison, write_report
from tvn_mmaction.datasets.protocols import PROTOCOLS
from tvn_mmaction.engine.comparison import (
    Budget,
    frames_of,
    jobs_of,
    measured,
    on_same_terms,
    within_budget,
)
from tvn_mmaction.engine.jobs import add_arguments, check_arguments, prepare_unfinished, run_unfinished
from tvn_mmaction.errors import UserError, run_tool
from tvn_mmaction.files import only_here


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train, test and measure networks on the same terms, and report.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='two or more; the first one gives the terms')
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
    add_arguments(parser, 'networks')
    parser.add_argument('--data-root', help="folder of the manifest (the first config's)")
    parser.add_argument('--work-dir', help='folder for all that is written (work_dirs/compare_FIRST)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change the first config'
    )
    return parser.parse_args()


def main() -> int:
    """Measure, train what has no result, and write the report of all that have one."""
    args = parse_args()
    check_arguments(args)
    if len(args.configs) < 2:
        raise UserError(f'{args.configs[0]} alone cannot be compared: name two configs or more')
    budget = Budget.parse(args.budget) if args.budget else Budget()
    work_dir = Path(args.work_dir or Path('work_dirs', f'compare_{Path(args.configs[0]).stem}'))
    with only_here(work_dir):
        return compare(args, budget, work_dir)


def compare(args: argparse.Namespace, budget: Budget, work_dir: Path) -> int:
    """See `main`; everything is written into `work_dir`."""
    configs = on_same_terms(
        args.configs, work_dir, args.data_root, args.cfg_options, args.protocol, args.own_input, args.pretrained
    )
    benchmark = measured(configs, work_dir / 'benchmark.json')
    configs = within_budget(configs, budget, benchmark, work_dir)
    jobs = jobs_of(configs)
    all_went_well = run_unfinished(args, jobs, prepare_unfinished(jobs, jobs, args.resume), 'networks')
    comparison = load_comparison(work_dir, [job.name for job in jobs if job.result()])
    written = write_report(comparison, frames_of(configs[0], comparison.disputed_clips), work_dir / 'report')
    print((work_dir / 'report/report.md').read_text(encoding='utf-8'))
    print(f'in {work_dir / "report"}: {", ".join(path.name for path in written)}')
    return 0 if all_went_well else 1


if __name__ == '__main__':
    run_tool(main)
