"""Regenerate the tables of all documents, metafile.yml, and the figures.

Add a new config to metafile.yml by hand, with its name, file, collection and architecture; this script writes the rest
of its entry.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / 'tools')]  # for benchmarks/ and command_line.py

from command_line import ArgumentParser, run  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

    from tvn_mmaction.evaluation.result import Result

CONFIGS = REPOSITORY / 'configs'
RESULTS = CONFIGS / 'results'
SPEED = RESULTS / 'speed.json'
RELIABILITY = RESULTS / 'reliability.json'
DECODERS = RESULTS / 'decoders.json'
METAFILE = CONFIGS / 'metafile.yml'
NOT_MEASURED = 'Not measured yet.\n'  # instead of a table
DOCUMENTS = [
    REPOSITORY / name for name in ('README.md', 'configs/README.md', 'docs/decoders.md', 'docs/dependencies.md')
]


def updated(document: Path) -> str:
    """Return a document with the tables of the current results."""
    text = document.read_text(encoding='utf-8')
    for name, table in tables().items():
        start, end = f'<!-- {name} -->\n', f'<!-- end of {name} -->'
        if start in text:
            before, _, rest = text.partition(start)
            text = f'{before}{start}{table}{end}{rest.partition(end)[2]}'
    return text


def tables() -> dict[str, str]:
    """Return every table by name."""
    from benchmarks.decoders.decoders_record import (
        Decoders,
        agreement_table,
        marked_table,
        summary_table,
        times_table,
    )
    from benchmarks.soak.soak_record import Reliability, reliability_table
    from benchmarks.targets.targets_record import Speed, target_table
    from tvn_mmaction.benchmark.engine_record import describe_engines, engine_table
    from tvn_mmaction.config.variables import variables_table
    from tvn_mmaction.evaluation.report import results_table, views_table
    from tvn_mmaction.experiments.comparison.comparison import load_comparison
    from tvn_mmaction.experiments.comparison.published_results import published_table
    from tvn_mmaction.experiments.comparison.tables import markdown_tables
    from tvn_mmaction.experiments.cross_validation.cross_validation_record import CrossValidation, protocols_table
    from tvn_mmaction.frame_selection.sampling_record import SamplingComparison, describe_samplings, samplings_table

    speed, decoders = Speed.load(SPEED), Decoders.load(DECODERS)
    samplings = [SamplingComparison.load(path) for path in sorted(RESULTS.glob('frame_selection/*.json'))]
    views = tested(RESULTS.glob('recipes/views/*.json'))
    texts = {
        'results': results_table(tested(single_results())),
        'protocols': protocols_table(
            [CrossValidation.load(path) for path in sorted(RESULTS.glob('cross_validation/*.json'))]
        ),
        'networks': networks_table(),
        'variables': variables_table(),
        'systems': results_table(tested(RESULTS.glob('systems/*.json'))),
        'zoo': results_table(tested(RESULTS.glob('zoo/*.json'))),
        'published': published_table(),
        'speed': target_table(speed.targets),
        'engines': f'{engine_table(speed.engines)}\n{describe_engines(speed.engines)}\n',
        'selection': f'{samplings_table(samplings)}\n{describe_samplings(samplings)}' if samplings else NOT_MEASURED,
        'early exits': early_exit_tables(),
        'dependencies': dependencies_table(),
        'decoders': summary_table(decoders),
        'marked videos': marked_table(decoders),
        'decoding times': times_table(decoders),
        'agreement': agreement_table(decoders) or NOT_MEASURED,
        'reliability': reliability_table(Reliability.load(RELIABILITY)),
        'views': views_table(views) if views else NOT_MEASURED,
        'gap': gap_tables(),
    }
    for name, subset in {'ablation': 'test', 'ablation on the validation': 'validation'}.items():
        files = sorted(RESULTS.glob(f'recipes/ablation_{subset}/*.json'))
        texts[name] = ablation_tables(files, subset)
        texts |= {f'{name}, {file.stem}': ablation_tables([file], subset) for file in files}
    for folder in sorted(RESULTS.glob('comparison/*')):
        texts[f'comparison {folder.name}'] = markdown_tables(load_comparison(folder))
    return texts


def ablation_tables(files: Iterable[Path], subset: str) -> str:
    """Return the ablation tables measured on the clips of a subset."""
    from tvn_mmaction.experiments.ablation.ablation_record import (
        TABLE_NOTE,
        Ablation,
        ablation_table,
        describe_ablation,
    )

    records = of_subset(Ablation, files, subset)
    sections = [
        f'The recipe is `{record.name}`:\n\n{ablation_table(record)}\n{describe_ablation(record)}\n'
        for record in records
    ]
    return '\n'.join([*sections, f'{TABLE_NOTE}\n']) if sections else NOT_MEASURED


def gap_tables() -> str:
    """Return the tables of the hardest classes of the recipes."""
    from tvn_mmaction.experiments.ablation.ablation_record import Ablation, gap_table

    records = of_subset(Ablation, RESULTS.glob('recipes/ablation_test/*.json'), 'test')
    return '\n'.join(gap_table(record) for record in records) or NOT_MEASURED


def early_exit_tables() -> str:
    """Return an overview of all networks with early exits, and the tables and figure of each."""
    from tvn_mmaction.early_exit.early_exit_report import (
        EarlyExitReport,
        budgets_table,
        classes_table,
        describe_budgets,
        overview_table,
    )

    records = {file: EarlyExitReport.load(file) for file in sorted(RESULTS.glob('early_exit/*.json'))}
    texts = [overview_table(records.values())] if records else []
    for file, record in records.items():
        figure = file.with_suffix('.png').relative_to(CONFIGS)
        texts.append(
            f'<details><summary>{file.stem}: all budgets, and the first and last clips to leave</summary>\n\n'
            f'{budgets_table(record)}\n{describe_budgets(record)}\n\n'
            f'![top-1 accuracy of {record.name} against multiply-accumulates and time]({figure})\n\n'
            f'At budget {record.classes_budget:g}:\n\n{classes_table(record)}\n</details>\n'
        )
    return '\n'.join(texts) or NOT_MEASURED


def draw_budgets() -> None:
    """Plot accuracy against cost of each network with early exits, next to its record."""
    from tvn_mmaction.early_exit.early_exit_report import EarlyExitReport, plot_budgets

    for file in sorted(RESULTS.glob('early_exit/*.json')):
        plot_budgets(EarlyExitReport.load(file), file.with_suffix('.png'))


def networks_table() -> str:
    """Return the networks of all configs, with their costs at their own input."""
    from tvn_mmaction.utils.markdown import markdown_table

    header = ['config', 'network', 'input: frames × px', 'frames spanned (at 25 fps)', 'parameters', 'GMACs']
    rows = []
    for model in yaml.safe_load(METAFILE.read_text(encoding='utf-8'))['Models']:
        data = model['Metadata']
        frames = f'{data["Frames"]} × ' if 'Frames' in data else ''
        rows.append([
            f'`{model["Config"].removeprefix("configs/")}`', f'{model["In Collection"]}, {data["Architecture"]}',
            frames + data['Resolution'].replace('x', ' × '), data['Frames Spanned'],
            f'{data["Parameters"] / 1e6:.2f} M', f'{data["FLOPs"] / 1e9:.2f}',
        ])  # fmt: skip
    return markdown_table(header, rows)


def dependencies_table() -> str:
    """Return the requirements of setup.py, with the licences of the installed packages."""
    import setuptools

    from tvn_mmaction.utils.markdown import markdown_table

    package = setuptools.distutils.core.run_setup(str(REPOSITORY / 'setup.py'), stop_after='init')
    rows = {}
    for extra, requirements in {'all': package.install_requires, **package.extras_require}.items():
        for requirement in requirements:
            name, versions = re.fullmatch(r'([\w-]+(?:\[\w+\])?)(.*)', requirement).groups()
            # The extra for tests repeats requirements of the others.
            rows.setdefault((name, versions), [name, versions or 'any', extra, licence_of(name)])
    return markdown_table(['package', 'versions', 'for', 'licence'], rows.values())


def licence_of(package: str) -> str:
    """Return the licence in the metadata of an installed package, or a dash if it is not installed."""
    try:
        about = metadata(package.partition('[')[0])
    except PackageNotFoundError:
        return '–'
    classifiers = [name for name in about.get_all('Classifier', []) if name.startswith('License ::')]
    named = ', '.join(name.rpartition(' :: ')[2] for name in classifiers)
    return about.get('License-Expression') or named or about.get('License', '').partition('\n')[0]


def updated_metafile() -> str:
    """Return metafile.yml with the current costs and results of all configs.

    Raises:
        UserError: A config has no entry.
    """
    from tvn_mmaction.config.loading import config_name
    from tvn_mmaction.utils.console import only_errors
    from tvn_mmaction.utils.errors import UserError

    metafile = yaml.safe_load(METAFILE.read_text(encoding='utf-8'))
    missing = {config_name(path) for path in config_files()} - {model['Name'] for model in metafile['Models']}
    if missing:
        raise UserError(
            f'{METAFILE} has no entry for {", ".join(sorted(missing))}. Add Name, Config, In Collection and Metadata.'
        )
    results = all_results()
    for model in metafile['Models']:
        with only_errors():
            model['Metadata'] = {'Architecture': model['Metadata']['Architecture'], **network_metadata(model['Config'])}
        model['Modality'] = next((kind for kind in ('Audio', 'Flow') if kind.lower() in model['Name']), 'RGB')
        model['Results'] = [entry_of(result) for result in results if result.name == model['Name']]
    return yaml.safe_dump(metafile, sort_keys=False, allow_unicode=True, width=120)


def all_results() -> list[Result]:
    """Return the results of single trainings."""
    files = [
        *single_results(),
        *RESULTS.glob('zoo/*.json'),
        *RESULTS.glob('systems/*.json'),
        *RESULTS.glob('comparison/*/*/result.json'),
    ]
    return tested(files)


def tested(files: Iterable[Path]) -> list[Result]:
    """Return the results in files, sorted by name, all of them measured on test clips."""
    from tvn_mmaction.evaluation.result import Result

    return of_subset(Result, files, 'test')


def of_subset(kind: type, files: Iterable[Path], subset: str) -> list[Any]:
    """Return the records in files, sorted by name.

    Raises:
        UserError: A record was measured on another subset. Test results and validation results, on which choices are
            based, are kept apart.
    """
    from tvn_mmaction.utils.errors import UserError

    records = {path: kind.load(path) for path in sorted(files)}
    for path, record in records.items():
        if record.protocol.subset != subset:
            raise UserError(
                f'{path} is a result on the {record.protocol.subset} clips. Keep only results on the {subset} clips '
                'in that folder.'
            )
    return list(records.values())


def single_results() -> list[Path]:
    """Return the result files of single trainings outside the zoo and the comparisons."""
    return sorted(set(RESULTS.glob('*.json')) - {SPEED, RELIABILITY, DECODERS})


def entry_of(result: Result) -> dict[str, Any]:
    """Return a result in the form of OpenMMLab's metafiles, with the input size and budget as options."""
    protocol = result.protocol
    return {
        'Dataset': f'{protocol.data}, {protocol.split}',
        'Task': 'Action Recognition',
        'Epochs': protocol.epochs,
        'Initial Weights': protocol.initial_weights,
        'Options': {name: value for name, value in result.options.items() if name.startswith(('clip.', 'budget'))},
        'Metrics': {
            'Top 1 Accuracy': round(100 * result.metrics['top1'].value, 1),
            'Mean Class Accuracy': round(100 * result.metrics['mean_class'].value, 1),
        },
    }


def config_files() -> list[Path]:
    """Return all configs except base configs."""
    return sorted([*CONFIGS.glob('*.py'), *CONFIGS.glob('[!_]*/*.py')])


def network_metadata(file: str) -> dict[str, Any]:
    """Return the costs and training settings of a config; FLOPs are multiply-accumulates, as everywhere in MMAction2.

    Upstream networks, such as feature extractors, are not counted; the hand-written architecture has to mention them.
    """
    from tvn_mmaction.config.loaders import dataset_of
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.evaluation.costs import network_costs

    config = read_config(REPOSITORY / file, data_root='nowhere')  # keeps the config's number of classes
    costs = network_costs(config)
    frames_axis = 2 if len(costs.view_shape) == 5 else 0  # (views, C, T, H, W) or (T, C, H, W)
    return {
        'Batch Size': config.train_dataloader.batch_size,
        'Epochs': config.train_cfg.max_epochs,
        'FLOPs': costs.macs,
        **({'Frames': costs.view_shape[frames_axis]} if 'size' in config.get('clip', {}) else {}),  # not for audio
        'Frames Spanned': frames_spanned(dataset_of(config, 'test_dataloader').pipeline),
        'Parameters': costs.parameters,
        'Resolution': 'x'.join(map(str, costs.view_shape[-2:])),
        'Training Data': 'UCF50' if config.train_dataloader.dataset.type == 'UCF50Dataset' else 'drawn clips',
    }


def frames_spanned(pipeline: Sequence[dict]) -> str:
    """Return the number of video frames that a view spans in testing, and its seconds at 25 fps."""
    sampling = next((step for step in pipeline if 'frame_interval' in step), {})
    if sampling.get('num_clips', 1) > 1 or any(step['type'] in ('SelectedFrames', 'LoadFeatures') for step in pipeline):
        return 'whole clip'
    if not sampling:
        return 'random'
    frames = (sampling['clip_len'] - 1) * sampling['frame_interval'] + 1
    return f'{frames} ({frames / 25:.1f} s)'


def contact_sheet(groups: int = 4) -> np.ndarray:
    """Return one frame of every action (columns) in several groups (rows), `(H, W, 3)` uint8 RGB."""
    import cv2
    import numpy as np

    from tvn_mmaction.datasets.demo import ACTIONS, draw_clip

    rows = [[draw_clip(name, group, clip=1)[12] for name in ACTIONS] for group in range(1, groups + 1)]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    return cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments: none."""
    return ArgumentParser(description='Regenerate the documents and their figures.').parse_args()


def main(args: argparse.Namespace) -> None:
    """Write the documents and the figures."""
    import cv2

    from tvn_mmaction.utils.io import write_atomically

    draw_budgets()  # first, since setuptools sets all loggers to verbose in dependencies_table
    write_atomically(METAFILE, updated_metafile())
    for document in DOCUMENTS:
        write_atomically(document, updated(document))
    _, image = cv2.imencode('.jpg', cv2.cvtColor(contact_sheet(), cv2.COLOR_RGB2BGR))
    write_atomically(RESULTS / 'demo_clips.jpg', image.tobytes())


if __name__ == '__main__':
    run(parse_args, main)
