r"""Train and test networks on equal terms, and report their differences; or fuse the scores of tested networks.

    python tools/compare.py configs/tvn1_demo.py configs/baselines/tsn_r18_ucf50.py configs/baselines/x3d_s_ucf50.py
    python tools/compare.py configs/tvn1_ucf50.py configs/baselines/ts?_r50*.py --train-budget epochs=20 --resume
    python tools/compare.py fuse work_dirs/tvn1_ucf50 work_dirs/c3d_ucf50 --out work_dirs/tvn1_and_c3d
    python tools/compare.py fuse A B --weights fit --validation A_val B_val --out A_and_B

The first config defines data, split, schedule, augmentation, frames and pixels. The others keep their network and its
sampling. Networks that have a result are not trained again.

Learned fusion weights need scores on a validation that no network was trained on. Train each network with
--cfg-options train_dataloader.dataset.subset=fit, and test it a second time on the held-out clips:

    python tools/test.py CONFIG CHECKPOINT --work-dir A_val \
        --cfg-options train_dataloader.dataset.subset=fit test_dataloader.dataset.subset=validation
"""

import argparse
import functools
import sys
from pathlib import Path

from command_line import (
    PROTOCOLS,
    ArgumentParser,
    accept_former_option,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    parse_options,
    run,
)

BENCHMARK_ROUNDS = 7
WEIGHTS = ('equal', 'fit', 'stacking', 'svm')  # METHODS of tvn_mmaction.experiments.fusion.fusion_report


def parse_args() -> argparse.Namespace:
    """Return the arguments of the command line."""
    if sys.argv[1:2] == ['fuse']:
        return parse_fuse_args(sys.argv[2:])
    parser = ArgumentParser(
        description='Train, test and measure networks on equal terms, and report their differences.',
        epilog='compare.py fuse --help describes the fusion of tested networks.',
    )
    parser.add_argument(
        'configs', nargs='+', type=config_file, metavar='CONFIG', help='two or more; the first one defines the terms'
    )
    parser.add_argument(
        '--protocol', choices=PROTOCOLS, metavar='NAME', help=f"one of {', '.join(PROTOCOLS)} (the first config's)"
    )
    budget = parser.add_argument(
        '--train-budget', metavar='epochs=N|minutes=M', help="of each training (the first config's epochs)"
    )
    accept_former_option(parser, '--budget', budget)
    parser.add_argument(
        '--own-input', action='store_true', help='networks keep the frames and pixels of their own configs'
    )
    parser.add_argument(
        '--pretrained', action='store_true', help='add networks with published weights, initialised with them'
    )
    add_job_arguments(parser, 'networks')
    parser.add_argument('--data-root', help="folder of the manifest (the first config's)")
    parser.add_argument('--work-dir', help='output folder (work_dirs/compare_FIRST)')
    add_cfg_options(parser, 'change the first config')
    args = parser.parse_args()
    check_job_arguments(parser, args)
    if len(args.configs) < 2:
        parser.error(f'{args.configs[0]} alone cannot be compared. Name two or more configs.')
    return args


def parse_fuse_args(words: list[str]) -> argparse.Namespace:
    """Return the arguments of `compare.py fuse`."""
    parser = ArgumentParser(
        prog='compare.py fuse', description='Fuse the scores of tested networks, and report the gain.'
    )
    parser.add_argument(
        'results', nargs='+', type=Path, metavar='RESULT', help='folder of result.json and scores.npz; two or more'
    )
    parser.add_argument(
        '--weights', choices=WEIGHTS, default='equal',
        help='mean of the probabilities; weighted mean, by log loss; logistic regression on log-probabilities; '
        'linear SVM on probabilities (%(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--validation', nargs='+', type=Path, default=[], metavar='RESULT',
        help='for all but equal weights: the same networks in the same order, tested in the same way on a validation',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='output folder')
    args = parser.parse_args(words)
    if len(args.results) < 2:
        parser.error(f'{args.results[0]} alone cannot be fused. Name two or more results.')
    if args.weights == 'equal' and args.validation:
        parser.error('--validation: equal weights are not learned. Remove it, or add --weights fit.')
    if args.weights != 'equal' and len(args.validation) != len(args.results):
        parser.error(
            f'--weights {args.weights}: {len(args.validation)} validation results for {len(args.results)} results. '
            'Name one for each with --validation.'
        )
    return args


def main(args: argparse.Namespace) -> int:
    """Benchmark all networks, train those without a result, and write the report; or fuse results."""
    return fuse(args) if hasattr(args, 'results') else compare(args)


def compare(args: argparse.Namespace) -> int:
    """Benchmark all networks, train those without a result, and write the report of all that have one."""
    from tvn_mmaction.benchmark.timing import load_or_measure
    from tvn_mmaction.experiments.comparison.comparison import load_comparison
    from tvn_mmaction.experiments.comparison.comparison_plan import (
        TrainBudget,
        apply_train_budget,
        configs_on_equal_terms,
        jobs_of,
    )
    from tvn_mmaction.experiments.comparison.html_report import middle_frames, write_report
    from tvn_mmaction.experiments.scheduling.job_runs import locked_work_dir, run_jobs

    budget = TrainBudget.parse(args.train_budget) if args.train_budget else TrainBudget()
    with locked_work_dir(args.work_dir, f'compare_{Path(args.configs[0]).stem}') as work_dir:
        options = parse_options(args.cfg_options)
        configs = configs_on_equal_terms(
            args.configs, work_dir, args.data_root, options, args.protocol, args.own_input, args.pretrained
        )
        measure = functools.cache(lambda: load_or_measure(configs, work_dir / 'benchmark.json', BENCHMARK_ROUNDS))
        jobs = jobs_of(apply_train_budget(configs, budget, measure, work_dir))
        for job in jobs:
            job.result()  # refuses results of other clips before minutes of measuring
        measure()
        succeeded = run_jobs(args, jobs, 'networks')
        comparison = load_comparison(work_dir, [job.name for job in jobs if job.result()])
        frames = middle_frames(configs[0], 'test_dataloader', comparison.disputed_clips)
        written = write_report(comparison, frames, work_dir / 'report')
    print((work_dir / 'report/report.md').read_text(encoding='utf-8'))
    print(f'in {work_dir / "report"}: {", ".join(path.name for path in written)}')
    return 0 if succeeded else 1


def fuse(args: argparse.Namespace) -> int:
    """Fuse the results, write the fusion, and print it."""
    from tvn_mmaction.evaluation.report import describe
    from tvn_mmaction.experiments.fusion.fusion_report import (
        describe_fusion,
        fuse_networks,
        load_tested_network,
        write_fusion,
    )
    from tvn_mmaction.utils.output_paths import make_folder

    members, validation = ([load_tested_network(path) for path in paths] for paths in (args.results, args.validation))
    make_folder(args.out, '--out')
    fusion, network, comparison = fuse_networks(members, args.weights, validation)
    write_fusion(fusion, network, comparison, args.out)
    print(describe_fusion(fusion))
    print(f'\n{describe(network.result, args.out)}, classes.png')
    return 0


if __name__ == '__main__':
    run(parse_args, main)
