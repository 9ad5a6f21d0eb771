"""Fuse the scores of tested networks, and say what it is worth: against each network, and which classes improve.

    python tools/fuse.py work_dirs/tvn1_ucf50 work_dirs/c3d_ucf50 --out work_dirs/tvn1_and_c3d
    python tools/fuse.py A B --weights fit --validation A_val B_val --out A_and_B

Weights that are learned need the scores of a validation that no network was trained on. Train each network with
--cfg-options train_dataloader.dataset.subset=fit, and test it a second time on what was left out:

    python tools/test.py CONFIG CHECKPOINT --work-dir A_val --cfg-options test_dataloader.dataset.subset=validation
"""

import argparse
from pathlib import Path

from command_line import run

WEIGHTS = ('equal', 'fit', 'stacking', 'svm')  # those of tvn_mmaction.experiments.fusion.fusion_report


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Fuse the scores of tested networks, and say what it is worth.')
    parser.add_argument(
        'results', nargs='+', type=Path, metavar='RESULT', help='folder of result.json and scores.npz; two or more'
    )
    parser.add_argument(
        '--weights', choices=WEIGHTS, default='equal',
        help='the mean of the probabilities; a weighted one, by log loss; logistic regression on log-probabilities; '
        'linear SVM on probabilities (%(default)s)',
    )  # fmt: skip
    parser.add_argument(
        '--validation', nargs='+', type=Path, default=[], metavar='RESULT',
        help='for all but equal weights: the same networks in the same order, tested alike on a validation',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='for what is found')
    args = parser.parse_args()
    if len(args.results) < 2:
        parser.error(f'{args.results[0]} alone cannot be fused: name two results or more')
    if args.weights == 'equal' and args.validation:
        parser.error('--validation: equal weights are not learned; leave it out, or add --weights fit')
    if args.weights != 'equal' and len(args.validation) != len(args.results):
        parser.error(
            f'--weights {args.weights}: {len(args.results)} results need as many of a validation, and --validation '
            f'names {len(args.validation)}'
        )
    return args


def main(args: argparse.Namespace) -> None:
    """Fuse, and print what was found and where it lies."""
    from tvn_mmaction.evaluation.report import describe
    from tvn_mmaction.experiments.fusion.fusion_report import describe_fusion, fuse, load_entry, write_fusion
    from tvn_mmaction.utils.output_paths import make_folder

    members = [load_entry(path) for path in args.results]
    make_folder(args.out, '--out')
    fusion, entry, comparison = fuse(members, args.weights, [load_entry(path) for path in args.validation])
    write_fusion(fusion, entry, comparison, args.out)
    print(describe_fusion(fusion))
    print(f'\n{describe(entry.result, args.out)}, classes.png')


if __name__ == '__main__':
    run(parse_args, main)
