"""The printed config runs with MMAction2's own tools exactly as its config does with those of this package."""

import json
import subprocess
from pathlib import Path

import mmaction
import pytest
import torch

from tests.small_experiment import REPOSITORY, call_tool, run_process, run_tool

PRINT, TRAIN = REPOSITORY / 'tools/print_config.py', REPOSITORY / 'tools/train.py'
STOCK_TOOLS = Path(mmaction.__file__).parent / '.mim/tools'
SMALL = [
    'clip.frames=2', 'clip.size=32', 'split.protocol=ucf101like', 'train_cfg.max_epochs=1',
    *(f'{side}_dataloader.{name}' for side in ('train', 'val', 'test')
      for name in ('batch_size=2', 'num_workers=0', 'persistent_workers=False')),
]  # fmt: skip


def succeed(tool: Path, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess:
    run = run_process if tool.is_relative_to(STOCK_TOOLS) else run_tool
    process = run(tool, *arguments, folder=folder)
    assert process.returncode == 0, process.stderr
    return process


def epoch(work_dir: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """Return loss and weights of the first epoch of a training."""
    (entry,) = json.loads((work_dir / 'history.json').read_text())
    return entry['loss'], torch.load(work_dir / 'epoch_1.pth', weights_only=True)['state_dict']


def check_same_training(one: Path, other: Path) -> None:
    (loss, weights), (other_loss, other_weights) = epoch(one), epoch(other)
    assert loss == other_loss
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())


@pytest.mark.parametrize(
    'config',
    [
        'tiny.py',
        *(pytest.param(f'{REPOSITORY}/configs/{name}_ucf50.py', marks=pytest.mark.slow, id=name)
          for name in ('baselines/tsm_mobilenetv2', 'recipes/tvn1')),
    ],
)  # fmt: skip
def test_stock_tools_train_the_printed_config_alike(folder, tmp_path, config):
    arguments = [config, '--data-root', folder / 'lists', '--cfg-options', *SMALL]
    succeed(TRAIN, *arguments, '--work-dir', tmp_path / 'ours', folder=folder)
    succeed(PRINT, *arguments, '--out', tmp_path / 'printed.py', folder=folder)
    stock = tmp_path / 'stock'
    succeed(STOCK_TOOLS / 'train.py', tmp_path / 'printed.py', '--work-dir', stock, folder=folder)
    check_same_training(tmp_path / 'ours', stock)
    # Nothing in a printed config follows its variables any more.
    refused = run_tool(
        STOCK_TOOLS / 'train.py', tmp_path / 'printed.py', '--work-dir', stock, '--cfg-options', 'clip.frames=4',
        folder=folder,
    )  # fmt: skip
    assert refused.returncode == 2 and 'error: clip.frames is 4, but ' in refused.stderr


@pytest.mark.slow
def test_stock_tools_train_and_test_the_raw_config_alike(folder, tmp_path):
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'clip.frames=4', 'split.fold=0']
    succeed(TRAIN, 'tiny.py', '--work-dir', tmp_path / 'ours', *options, folder=folder)
    stock = tmp_path / 'stock'
    succeed(STOCK_TOOLS / 'train.py', 'tiny.py', '--work-dir', stock, *options, folder=folder)
    check_same_training(tmp_path / 'ours', stock)
    process = succeed(STOCK_TOOLS / 'test.py', 'tiny.py', stock / 'epoch_1.pth', '--work-dir', stock, folder=folder)
    assert process.stderr == '' or 'error' not in process.stderr


def test_print_goes_to_the_terminal_and_reports_errors(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    call_tool(PRINT, 'tiny.py', '--cfg-options', 'clip.frames=4')
    printed = capsys.readouterr().out
    assert 'num_segments=4' in printed and '${' not in printed and "type='BrokenClipEvaluator'" in printed
    process = run_tool(PRINT, 'tiny.py', '--cfg-options', 'clip.frames=0', folder=folder)
    assert process.returncode == 2 and 'clip.frames is 0. Give a whole number above 0.' in process.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('recipes/tvn1_ucf50_ssl', 'which only tools/train.py of tvn_mmaction runs'),
        ('recipes/tvn1_distilled_ucf50', 'the teacher'),
        ('frame_selection/tvn1_selected_ucf50', 'smart.json'),
        ('recurrent/lstm_single_frame_r18_ucf50', 'tools/extract_features.py'),
    ],
)
def test_stock_tools_refuse_what_only_ours_prepare(folder, tmp_path, name, message):
    config = REPOSITORY / f'configs/{name}.py'
    options = [f'data_root={folder / "lists"}', *SMALL]
    options = [option for option in options if name[:3] != 'rec' or 'clip' not in option or 'ssl' in name]
    process = run_tool(
        STOCK_TOOLS / 'train.py', config, '--work-dir', tmp_path, '--cfg-options', *options, folder=folder
    )
    assert process.returncode == 2, process.stderr
    assert 'error: ' in process.stderr and message in process.stderr and 'Traceback' not in process.stderr
