"""Record of an ablation: means and significance tests against reference computations, files and tables."""

from dataclasses import replace

import pytest

from tests.experiments.cross_validation.test_cross_validation_record import result_of
from tvn_mmaction.experiments.ablation.ablation_record import (
    Ablation,
    AblationDifference,
    AblationRow,
    AblationRun,
    ablation_table,
    describe_ablation,
    gap_table,
)

TOP1 = {'no part': [0.5, 0.6, 0.7], '+ flip = the recipe': [0.8, 0.7, 0.9]}


def record() -> Ablation:
    rows = [
        AblationRow(
            name=name,
            config='recipes_tvn1_ucf50',
            options={} if 'recipe' in name else {'augmentation.flip': None},
            runs=[AblationRun(seed, value, value - 0.1, 2.0, 60.0, 1.0) for seed, value in enumerate(values)],
            parameters=25_700_000,
            gmacs_per_video=1.59,
            views=1,
            epochs=30,
            initial_weights='scratch',
            difference=AblationDifference('no part', 0.2, 0.01, 0.02) if 'recipe' in name else None,
            class_top1={'Walk': 0.9, 'Run': 0.5} if 'recipe' in name else {'Walk': 0.4, 'Run': 0.3},
            confused=[{'true': 'Run', 'predicted': 'Walk', 'clips': 7}],
            never_right=['Run 03'],
        )
        for name, values in TOP1.items()
    ]
    protocol = replace(result_of(0).protocol, train_pipeline=None, training_seed=None)
    return Ablation('recipes_tvn1_ucf50', {'clip.size': 96}, protocol, rows, [], {'device': 'CPU', 'threads': 2})


def test_table_has_accuracy_and_costs_of_each_row():
    header, _, first, second = ablation_table(record()).splitlines()
    assert header.count('|') == first.count('|') == second.count('|')
    assert '| 60.0 ± 10.0 % |  |  |' in first
    assert '| 80.0 ± 10.0 % | **+20.0 to no part** | 0.020 |' in second
    assert '| 2.0 | 60 s | 25.7 M | 1 | 1.59 |' in second
    single = replace(record(), rows=[replace(row, runs=row.runs[:1]) for row in record().rows])
    assert '±' not in ablation_table(single)


def test_long_options_are_shortened_and_stay_distinguishable():
    names = [f'`a`, model.teachers=[{"folder/" * 20}{seed}.pth], clip.size=72' for seed in (1, 2)]
    shown = [ablation_table(replace(record(), rows=[replace(record().rows[0], name=name)])) for name in names]
    for seed, table in enumerate(shown, start=1):
        assert '| `a`, model.teachers=[folder/f…' in table and f'{seed}.pth], clip.size=72 |' in table
        assert max(map(len, table.splitlines())) < 250
    missing = describe_ablation(replace(record(), missing=[f'{names[0]}, seed 2']))
    assert 'seed 2 of `a`, model.teachers=[folder/f…' in missing and '1.pth], clip.size=72.' in missing


@pytest.mark.parametrize(
    ('missing', 'text'),
    [
        (['no part, seed 2', 'a, b=1, seed 0', '+ a, seed 2'], 'seed 2 of no part and of + a; seed 0 of a, b=1.'),
        (['a, seed 1', 'b, seed 1', 'a, seed 2', 'b, seed 2'], 'seed 1 and seed 2 of a and of b.'),
        ([f'{row}, seed 1' for row in 'abcdef'], 'seed 1 of 6 rows, see above.'),
    ],
)
def test_description_lists_missing_seeds(missing, text):
    assert 'Unfinished' not in describe_ablation(record())
    described = describe_ablation(replace(record(), missing=missing))
    assert 'clip.size=96' in described and described.endswith(f'Unfinished, not included: {text}')


def test_gap_table_begins_with_the_hardest_class_of_the_recipe():
    ablation = record()
    *rows, _, note = gap_table(ablation).splitlines()
    assert rows == [
        '| class | no part | the recipe |',
        '| --- | --- | --- |',
        '| Run | 30.0% | 50.0% |',
        '| Walk | 40.0% | 90.0% |',
    ]
    assert 'Run as Walk (7)' in note and note.endswith('correct clip in any seed: Run 03.')
    assert f'among {3 * ablation.protocol.test_clips} predictions' in note
    assert gap_table(replace(ablation, rows=ablation.rows[:1])) == ''
