r"""Train a recipe with and without its parts, and measure the contribution of each part.

    python tools/ablate.py configs/recipes/tvn1_ucf50.py --seeds 0 1 2 --validation
    python tools/ablate.py configs/recipes/tvn1_ucf50.py --rows full --baseline configs/tvn1_ucf50.py \
        --compare-with configs/recipes/ts[mn]_r18_ucf50.py --seeds 0 1 2 --cfg-options split.protocol=groups19to25
    python tools/ablate.py configs/recipes/tvn1_ucf50.py --rows full \
        --compare-with configs/recipes/tsn_r18_ucf50.py clip.size=72 --cfg-options clip.size=64

The rows add one part after the other, and then drop each part from the full recipe. Choose parts with --validation,
which holds out some of the train clips, in whole groups if the protocol tests whole groups. Without it, rows are
measured on the test clips, once, at the end of each training. A validation of few source videos cannot detect small
differences. --validation-folds 0-4 measures on all train clips, each held out of one of five trainings. Each training
runs in a process of its own, and finished ones are never run again. The record has the rows of the last command.
"""

import argparse
import re
from pathlib import Path

from command_line import (
    ArgumentParser,
    accept_former_option,
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    fold_numbers,
    key_value,
    parse_options,
    run,
)


def parse_args() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = ArgumentParser(description='Train a recipe with and without its parts.')
    parser.add_argument('config', type=config_file, help='the recipe')
    parser.add_argument(
        'parts', nargs='?', type=Path, metavar='PARTS.yaml',
        help='the options that switch each part off, by name (parts.yaml in the folder of the config)',
    )  # fmt: skip
    parser.add_argument('--seeds', nargs='+', type=seed, default=[0], metavar='N', help='of the trainings (0)')
    rows = parser.add_argument(
        '--rows', choices=['add', 'drop', 'full'],
        help='rows that add parts, rows that drop one part each, or the full recipe alone (add and drop)',
    )  # fmt: skip
    accept_former_option(parser, '--only', rows, {'adding': 'add', 'leaving': 'drop', 'full': 'full'})
    baseline = parser.add_argument('--baseline', type=config_file, metavar='CONFIG', help='config of a first row')
    accept_former_option(parser, '--plain', baseline)
    compare_with = parser.add_argument(
        '--compare-with', nargs='+', action='extend', default=[], metavar='CONFIG',
        help='configs of further rows, each compared with the recipe, such as other networks with the same recipe; '
        'KEY=VALUE after a config changes its row alone',
    )  # fmt: skip
    accept_former_option(parser, '--beside', compare_with)
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        '--validation', action='store_const', const=[0], default=[], dest='validation_folds',
        help='hold out a fifth of the groups of the train clips, and do not read the test clips',
    )  # fmt: skip
    held_out.add_argument(
        '--validation-folds', type=fold_numbers, default=[], metavar='FOLDS',
        help='hold out each of these fifths, such as 0-4: five trainings per seed, measured together',
    )  # fmt: skip
    add_job_arguments(parser, 'trainings')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='output folder (work_dirs/ablation_CONFIG)')
    add_cfg_options(parser, 'change all rows')
    args = parser.parse_args()
    check_job_arguments(parser, args)
    if repeated := {number for number in args.seeds if args.seeds.count(number) > 1}:
        parser.error(f'--seeds: {min(repeated)} is given twice. Give each seed once.')
    args.compare_with = compared_rows(parser, args.compare_with)
    rows = [(args.config, []), *([(args.baseline, [])] if args.baseline else []), *args.compare_with]
    rows = [(Path(file).resolve(), sorted(options)) for file, options in rows]
    if repeated := next((file for place, (file, _) in enumerate(rows) if rows[place] in rows[:place]), None):
        parser.error(f'{repeated.name} is given twice and cannot be compared with itself. Name another config.')
    if args.parts and args.rows == 'full':
        parser.error(f'{args.parts}: --rows full trains the recipe alone and reads no parts. Remove one of the two.')
    options = [*args.cfg_options, *(word for _, words in args.compare_with for word in words)]
    reserved = r'randomness\.seed=|\w+_dataloader\..*(subset|validation_fold)='
    if fixed := [word for word in options if re.match(reserved, word)]:
        parser.error(f'{fixed[0]} is set for all rows alike. Use --seeds and --validation or --validation-folds.')
    args.parts = args.parts or Path(args.config).with_name('parts.yaml')
    return args


def compared_rows(parser: argparse.ArgumentParser, words: list[str]) -> list[tuple[str, list[str]]]:
    """Return the configs of `--compare-with`, each with the options that follow it."""
    rows: list[tuple[str, list[str]]] = []
    for word in words:
        try:
            if '=' not in word or Path(word).is_file():
                rows.append((config_file(word), []))
            elif not rows:
                parser.error(f'--compare-with {word}: name the config first whose row it changes')
            else:
                rows[-1][1].append(key_value(word))
        except argparse.ArgumentTypeError as error:
            parser.error(f'argument --compare-with: {error}')
    return rows


def seed(text: str) -> int:
    """Return a seed; an argument `type`."""
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f'{text}: give whole numbers from 0 to {(1 << 32) - 1}')
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Run unfinished trainings, write the record of all finished ones, and print it."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.experiments.ablation.ablation_plan import collect_ablation, plan_ablation, read_parts
    from tvn_mmaction.experiments.ablation.ablation_record import (
        TABLE_NOTE,
        ablation_table,
        describe_ablation,
        gap_table,
    )
    from tvn_mmaction.experiments.scheduling.job_runs import locked_work_dir, run_jobs

    parts = {} if args.rows == 'full' else read_parts(args.parts)
    name = f'ablation_{config_name(args.config)}{"_validation" if args.validation_folds else ""}'
    with locked_work_dir(args.work_dir, name) as work_dir:
        plan = plan_ablation(
            args.config,
            parts,
            args.seeds,
            work_dir,
            data_root=args.data_root,
            options=parse_options(args.cfg_options),
            kind=args.rows,
            baseline=args.baseline,
            compare_with=[(file, parse_options(words)) for file, words in args.compare_with],
            validation_folds=args.validation_folds,
        )
        succeeded = run_jobs(args, plan.jobs, 'trainings')
        record = collect_ablation(plan)
    if record:
        print(f'{ablation_table(record)}\n{describe_ablation(record)} {TABLE_NOTE}\n\n{gap_table(record)}')
        print(f'in {work_dir}: ablation.json, ablation.png, curves.png')
    return 0 if succeeded else 1


if __name__ == '__main__':
    run(parse_args, main)
