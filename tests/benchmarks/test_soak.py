"""Soak tests with killed, interrupted and long trainings."""

import json
import time
from dataclasses import replace

import pytest

from benchmarks.soak.kills import survive_kills
from benchmarks.soak.resource_usage import measure_load, slopes
from benchmarks.soak.resumes import count_exact_resumes
from benchmarks.soak.soak_record import Reliability, reliability_table
from tvn_mmaction.utils.console import progress_bar
from tvn_mmaction.utils.errors import UserError

FOUND = Reliability(
    kills={'kills': 200, 'survived': 199, 'while_saving': 80, 'epochs': 90, 'seed': 0},
    resumes={'trials': 20, 'exact': 19, 'interruptions': 38, 'seed': 0},
    bad_inputs={'tried': 60, 'handled': 59},
    load=slopes(
        [
            dict(
                step=20 * n, seconds=n, cpu_seconds=n, stolen_seconds=0.1 * n, main_mb=100, workers_mb=50, workers=4,
                open_files=9,
            )
            for n in range(50)
        ]
    ),
    environment={},
)  # fmt: skip


def test_slopes_ignore_the_start_of_the_training():
    samples = [
        dict(
            step=20 * number, seconds=number * (1 if number <= 50 else 2), cpu_seconds=number,
            stolen_seconds=max(0, number - 50), main_mb=max(0, 10 - number) + 0.02 * number, workers_mb=50.0, workers=4,
            open_files=9 + number // 90,
        )
        for number in range(101)
    ]  # fmt: skip
    found = slopes(samples)
    assert found['steps'] == 2000 and found['workers'] == 4
    assert found['main_mb_per_1000_steps'] == pytest.approx(1.0) and found['workers_mb_per_1000_steps'] == 0
    assert (found['open_files_first'], found['open_files_last']) == (9, 10)
    assert (found['speed_ratio'], found['cpu_time_ratio']) == (pytest.approx(0.5), pytest.approx(1))
    assert (found['stolen_first'], found['stolen_last']) == (0, 0.5)
    samples[95]['seconds'] += 0.9  # another process took the machine once
    assert slopes(samples)['speed_ratio'] == pytest.approx(0.5)


def test_record_round_trip_and_table(tmp_path):
    FOUND.save(tmp_path / 'reliability.json')
    assert Reliability.load(tmp_path / 'reliability.json') == FOUND
    table = reliability_table(FOUND)
    for words in ('200, 80 of them', '199 resumed', '19 ended bit-identical', '59 reported', 'open files 9 → 9'):
        assert words in table
    assert not FOUND.is_good
    good = replace(FOUND, kills={'kills': 9, 'survived': 9}, resumes={'trials': 2, 'exact': 2})
    assert replace(good, bad_inputs={'tried': 5, 'handled': 5}).is_good
    assert not replace(good, bad_inputs={'tried': 0, 'handled': 0}).is_good


@pytest.fixture
def config(folder):
    return folder / 'tiny.py'


@pytest.mark.slow
def test_training_survives_kills(config, tmp_path):
    with progress_bar(visible=False) as progress:
        found = survive_kills(config, tmp_path, {'train_cfg.max_epochs': 100_000}, 3, progress)
    assert found['survived'] == found['kills'] == 3
    history = json.loads((tmp_path / 'history.json').read_text())
    assert [entry['epoch'] for entry in history] == list(range(1, len(history) + 1)) and len(history) >= found['epochs']


@pytest.mark.slow
def test_resumed_trainings_are_exact(config, tmp_path):
    with progress_bar(visible=False) as progress:
        found = count_exact_resumes(config, tmp_path, {'train_cfg.max_epochs': 30}, 1, progress)
    assert found['exact'] == 1


@pytest.mark.slow
def test_resource_usage_is_measured(config, tmp_path):
    options = {'train_cfg.max_epochs': 40, 'train_dataloader.num_workers': 1, 'train_dataloader.batch_size': 1}
    started = time.monotonic()
    with progress_bar(visible=False) as progress:
        found = measure_load(config, tmp_path, options, 240, progress)
    assert found['workers'] == 1 and 200 < found['steps'] <= 240 and 0 < found['main_mb'] < 10_000
    assert found['speed_ratio'] > 0 and time.monotonic() - started < 200
    with (
        pytest.raises(UserError, match=r'ended with exit code 2\. Read its log'),
        progress_bar(visible=False) as progress,
    ):
        measure_load(config, tmp_path / 'other', options | {'train_dataloader.batch_size': 'many'}, 240, progress)
