r"""Train a recipe with and without its parts, and say what each part is worth.

    python tools/ablate.py configs/recipes/tvn1_ucf50.py --seeds 0 1 2 --validation
    python tools/ablate.py configs/recipes/tvn1_ucf50.py --only full --plain configs/tvn1_ucf50.py \
        --beside configs/recipes/ts[mn]_r18_ucf50.py --seeds 0 1 2 --cfg-options split.protocol=groups19to25
    python tools/ablate.py configs/recipes/tvn1_ucf50.py --only full \
        --beside configs/recipes/tsn_r18_ucf50.py clip.size=72 --cfg-options clip.size=64

The rows add one part after the other to none, and then leave each out of the whole. Parts are chosen with --validation,
where some of the train clips are held out, whole groups if the protocol tests those; without it the test clips are
looked at once, at the end of each training. A validation of few long videos cannot tell small differences from chance;
--validation-folds 0-4 measures on all train clips, each held out of one training of five. Each row, seed and fold is a
process of its own; finished ones are never run again. The record has the rows of the command that wrote it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import (
    add_cfg_options,
    add_job_arguments,
    check_job_arguments,
    config_file,
    fold_numbers,
    key_value,
    parse_options,
    run,
)

if TYPE_CHECKING:
    from tvn_mmaction.experiments.ablation.ablation_plan import AblationPlan


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train a recipe with and without its parts.')
    parser.add_argument('config', type=config_file, help='the recipe')
    parser.add_argument(
        'parts', nargs='?', type=Path, metavar='PARTS.yaml',
        help='by name, the options that switch a part off (parts.yaml beside the config)',
    )  # fmt: skip
    parser.add_argument('--seeds', nargs='+', type=seed, default=[0], metavar='N', help='of the trainings (0)')
    parser.add_argument(
        '--only', choices=['adding', 'leaving', 'full'],
        help='the rows that add parts, those that leave one out, or the recipe alone (adding and leaving)',
    )  # fmt: skip
    parser.add_argument('--plain', type=config_file, metavar='CONFIG', help='a row before all others')
    parser.add_argument(
        '--beside', nargs='+', action='extend', default=[], metavar='CONFIG',
        help='rows behind all others, each compared with the recipe: other networks by the same one, say; '
        'KEY=VALUE behind a config changes its row alone',
    )  # fmt: skip
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        '--validation', action='store_const', const=[0], default=[], dest='validation_folds',
        help='hold a fifth of the groups of the train clips out, and leave the test alone',
    )  # fmt: skip
    held_out.add_argument(
        '--validation-folds', type=fold_numbers, default=[], metavar='FOLDS',
        help='each of these fifths, one after the other, such as 0-4: five trainings a seed, measured together',
    )  # fmt: skip
    add_job_arguments(parser, 'trainings')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for all that is written (work_dirs/ablation_CONFIG)')
    add_cfg_options(parser, 'change all rows')
    args = parser.parse_args()
    check_job_arguments(parser, args)
    if twice := {number for number in args.seeds if args.seeds.count(number) > 1}:
        parser.error(f'--seeds: {min(twice)} is there twice; give each seed once')
    args.beside = rows_beside(parser, args.beside)
    rows = [(args.config, []), *([(args.plain, [])] if args.plain else []), *args.beside]
    rows = [(Path(file).resolve(), sorted(options)) for file, options in rows]
    if twice := next((file for place, (file, _) in enumerate(rows) if rows[place] in rows[:place]), None):
        parser.error(f'{twice.name} is there twice, and a row shall not be compared with itself; name another config')
    if args.parts and args.only == 'full':
        parser.error(f'{args.parts}: --only full trains the recipe alone, without looking at its parts; leave one out')
    options = [*args.cfg_options, *(word for _, words in args.beside for word in words)]
    what_rows_follow = r'randomness\.seed=|\w+_dataloader\..*(subset|validation_fold)='
    if fixed := [word for word in options if re.match(what_rows_follow, word)]:
        parser.error(f'{fixed[0]}: use --seeds and --validation or --validation-folds, which the rows follow')
    args.parts = args.parts or Path(args.config).with_name('parts.yaml')
    return args


def rows_beside(parser: argparse.ArgumentParser, words: list[str]) -> list[tuple[str, list[str]]]:
    """Return the configs of `--beside`, each with the options behind it."""
    rows: list[tuple[str, list[str]]] = []
    for word in words:
        try:
            if '=' not in word or Path(word).is_file():
                rows.append((config_file(word), []))
            elif not rows:
                parser.error(f'--beside {word}: name the config first whose row it changes')
            else:
                rows[-1][1].append(key_value(word))
        except argparse.ArgumentTypeError as error:
            parser.error(f'argument --beside: {error}')
    return rows


def seed(text: str) -> int:
    """Return the seed that a word of `--seeds` means."""
    if not text.isdecimal() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f'{text}: give whole numbers from 0 to {(1 << 32) - 1}')
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Train what is not finished, and write and print what all finished trainings found."""
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.experiments.ablation.ablation_plan import plan, read_parts
    from tvn_mmaction.utils.io import folder_lock
    from tvn_mmaction.utils.output_paths import make_folder

    parts = {} if args.only == 'full' else read_parts(args.parts)
    name = f'ablation_{config_name(args.config)}{"_validation" if args.validation_folds else ""}'
    work_dir = Path(args.work_dir or Path('work_dirs', name))
    make_folder(work_dir, '--work-dir')
    with folder_lock(work_dir):
        planned = plan(
            args.config,
            parts,
            args.seeds,
            work_dir,
            data_root=args.data_root,
            options=parse_options(args.cfg_options),
            only=args.only,
            plain=args.plain,
            beside=[(file, parse_options(words)) for file, words in args.beside],
            validation_folds=args.validation_folds,
        )
        return ablate(args, planned)


def ablate(args: argparse.Namespace, planned: AblationPlan) -> int:
    """See `main`."""
    from tvn_mmaction.experiments.ablation.ablation_plan import collect
    from tvn_mmaction.experiments.ablation.ablation_record import (
        HOW_TO_READ,
        ablation_table,
        describe_ablation,
        gap_table,
    )
    from tvn_mmaction.experiments.scheduling.job_runs import prepare_unfinished, run_unfinished

    jobs = planned.jobs
    all_went_well = run_unfinished(args, jobs, prepare_unfinished(jobs, jobs, args.resume), 'trainings')
    record = collect(planned)
    if record:
        print(f'{ablation_table(record)}\n{describe_ablation(record)} {HOW_TO_READ}\n\n{gap_table(record)}')
        print(f'in {planned.folder}: ablation.json, ablation.png, curves.png')
    return 0 if all_went_well else 1


if __name__ == '__main__':
    run(parse_args, main)
