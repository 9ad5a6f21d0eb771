"""Train and test the model of a config on all folds of a protocol.

    python tools/cross_validate.py configs/tvn1_demo.py
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --workers 4
    python tools/cross_validate.py configs/tvn1_ucf50.py --protocol logo --engine ray --address auto

Each fold is a process of its own; one that dies is started a second time and goes on from its last checkpoint. Finished
folds are never run again. With Ray, videos and work directory are on a file system that all nodes share.
"""

import argparse
import re
import signal
import sys

from mmengine.config import DictAction

from tvn_mmaction.datasets.protocols import PROTOCOLS
from tvn_mmaction.engine import read_config
from tvn_mmaction.engine.cross_validation import Plan, collect, plan, prepare, run
from tvn_mmaction.engine.fold import Fold
from tvn_mmaction.engine.pools import LocalPool, Pool, RayPool, visible_gpus
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
    parser.add_argument(
        '--engine', choices=['local', 'ray'], default='local',
        help='processes of this machine, or a Ray cluster whose nodes share the file system (%(default)s)',
    )  # fmt: skip
    parser.add_argument('--workers', type=int, metavar='N', help='folds at the same time (one per GPU, else 1)')
    parser.add_argument(
        '--gpus-per-fold', type=float, metavar='X', help='0.5 lets two folds share a GPU (1, or less for all workers)'
    )
    parser.add_argument('--address', help='of a running Ray cluster, such as auto (a new one on this machine)')
    parser.add_argument('--resume', action='store_true', help='unfinished folds go on from their last checkpoint')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for checkpoints, logs and results (work_dirs/CONFIG)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change the config')
    return parser.parse_args()


def main() -> int:
    """Run the folds that are not finished, and print what all finished ones found and which ones failed."""
    args = parse_args()
    check(args)
    numbers = fold_numbers(args.folds)
    config = read_config(args.config, args.work_dir, args.data_root, args.cfg_options)
    whole = plan(config, args.protocol)
    folds = whole.choose(numbers or range(len(whole.folds)))
    unfinished = prepare(whole, folds, args.resume)
    failed = run_unfinished(args, whole, folds, unfinished) if unfinished else {}
    record = collect(whole)
    if record:
        print(describe_cross_validation(record))
        print(f'in {whole.folder}: cross_validation.json, scores.npz, folds.png, confusion_matrix.png')
    for fold in unfinished:
        if fold.number in failed:
            print(f'fold {fold.number} failed: {failed[fold.number]}\n  its log: {fold.log}', file=sys.stderr)
        elif fold.attempts > 1:
            print(f'fold {fold.number} was retried: its first process died, its log: {fold.log}', file=sys.stderr)
    if failed:
        print('the same command with --resume runs them again, from their last checkpoints', file=sys.stderr)
    return 1 if failed else 0


def check(args: argparse.Namespace) -> None:
    """Raise a UserError for what makes no sense."""
    if args.workers is not None and args.workers < 1:
        raise UserError(f'--workers {args.workers}: give 1 or more')
    if args.gpus_per_fold is not None and not 0 < args.gpus_per_fold <= 1:
        raise UserError(f'--gpus-per-fold {args.gpus_per_fold}: give a share of one GPU, above 0 and up to 1')
    if args.address and args.engine != 'ray':
        raise UserError(f'--address {args.address}: only a Ray cluster has one; add --engine ray')


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


def run_unfinished(args: argparse.Namespace, whole: Plan, folds: list[Fold], unfinished: list[Fold]) -> dict[int, str]:
    """Run folds and return why some failed; an interruption, by Ctrl-C or SIGTERM, ends them all."""
    try:
        if args.workers:
            args.workers = min(args.workers, len(unfinished))  # so that few folds have all cores and GPUs
        pool = open_pool(args)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # after Ray, which sets one of its own
        print(f'{len(unfinished)} of {len(folds)} folds to run, {pool.workers} at a time', file=sys.stderr)
        return run(whole, folds, unfinished, pool)
    except KeyboardInterrupt:
        finished = sum(fold.result() is not None for fold in folds)
        raise KeyboardInterrupt(
            f'interrupted; the same command with --resume goes on; {finished} of {len(folds)} folds are finished'
        ) from None


def open_pool(args: argparse.Namespace) -> Pool:
    """Return where the folds run."""
    if args.engine == 'ray':
        return RayPool(args.workers, args.gpus_per_fold, args.address)
    return LocalPool(args.workers, args.gpus_per_fold, visible_gpus())


if __name__ == '__main__':
    run_tool(main)
