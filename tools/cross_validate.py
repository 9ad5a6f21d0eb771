"""Train and test the model of a config on all folds of a protocol.

    python tools/cross_validate.py configs/tvn1_demo.py
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --workers 4
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --engine ray --address auto

Each fold is a process of its own; one that dies is started a second time and goes on from its last checkpoint. Finished
folds are never run again. With Ray, videos and work directory are on a file system that all nodes share.
"""

import argparse
import re

from mmengine.config import DictAction

from tvn_mmaction.datasets.protocols import PROTOCOLS
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.cross_validation import collect, plan
from tvn_mmaction.engine.jobs import add_arguments, check_arguments, prepare_unfinished, run_unfinished
from tvn_mmaction.errors import UserError, run_tool
from tvn_mmaction.evaluation import describe_cross_validation


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train and test the model of a config on all folds of a protocol.')
    parser.add_argument('config', help='the config, such as configs/tvn1_ucf50.py')
    parser.add_argument(
        '--protocol', choices=PROTOCOLS, metavar='NAME',
        help=f"which clips each fold tests, one of {', '.join(PROTOCOLS)} (the config's)",
    )  # fmt: skip
    parser.add_argument('--folds', help='numbers and ranges such as 0,3-7 (all)')
    add_arguments(parser, 'folds')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for checkpoints, logs and results (work_dirs/CONFIG)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change the config')
    return parser.parse_args()


def main() -> int:
    """Run the folds that are not finished, and print what all finished ones found and which ones failed."""
    args = parse_args()
    check_arguments(args)
    numbers = fold_numbers(args.folds)
    config = read_config(args.config, args.work_dir, args.data_root, args.cfg_options)
    whole = plan(config, args.protocol)
    folds = whole.choose(numbers or range(len(whole.folds)))
    all_went_well = run_unfinished(args, folds, prepare_unfinished(whole.folds, folds, args.resume), 'folds')
    record = collect(whole)
    if record:
        print(describe_cross_validation(record))
        print(f'in {whole.folder}: cross_validation.json, scores.npz, folds.png, confusion_matrix.png')
    return 0 if all_went_well else 1


def fold_numbers(folds: str | None) -> list[int]:
    """Return the numbers that `--folds` means, in order and each once; none if it is not given."""
    numbers = set()
    for part in () if folds is None else folds.split(','):
        match = re.fullmatch(r'(\d{1,6})(?:-(\d{1,6}))?', part.strip())
        chosen = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not chosen:
            raise UserError(f'--folds {folds}: give numbers and ranges such as 0,3-7')
        numbers.update(chosen)
    return sorted(numbers)


if __name__ == '__main__':
    run_tool(main)
