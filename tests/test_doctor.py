"""The report of `python -m tvn_mmaction`: what works, what does not, and remedies."""

import subprocess
import sys

import numpy as np
import pytest

from tvn_mmaction import __main__ as doctor
from tvn_mmaction import __version__, compat


def broken(path):
    raise OSError('no codec')


def test_report_of_this_machine():
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tvn_mmaction'], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    for expected in (__version__, 'torch', 'decode with opencv-python', 'GPU', 'CPU threads', 'Training can run.'):
        assert expected in process.stdout
    for patch in compat.PATCHES:
        assert all(text in process.stdout for text in (patch.name, patch.symptom, patch.source))


def test_broken_decoder_is_reported_with_its_remedy(monkeypatch, capsys):
    monkeypatch.setitem(doctor.DECODERS, 'decord', broken)
    assert doctor.main() == 0
    output = capsys.readouterr().out
    assert 'OSError: no codec' in output
    assert 'pip install --force-reinstall --no-deps decord' in output


def test_training_needs_a_working_decoder(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'DECODERS', {'decord': broken, 'opencv-python': lambda path: np.zeros((7, 48, 64, 3))})
    assert doctor.main() == 1
    output = capsys.readouterr().out
    assert 'read frames of shape (7, 48, 64, 3)' in output
    assert 'Training cannot run' in output


def test_decoded_colours_are_compared(tmp_path):
    doctor.write_video(tmp_path / 'video.avi')
    assert doctor.decoding_fault(doctor.decode_with_opencv, tmp_path / 'video.avi') == ''
    assert 'other colours' in doctor.decoding_fault(lambda path: np.zeros((8, 48, 64, 3)), tmp_path / 'video.avi')


def test_missing_pkg_resources_is_reported_with_its_remedy(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, 'find_spec', lambda name: None)
    check = doctor.check_config_inheritance()
    assert check.blocks and check.remedy == "pip install 'setuptools<82'"


@pytest.mark.parametrize(('driver', 'remedy'), [(None, ''), ('/usr/bin/nvidia-smi', 'pytorch.org')])
def test_machine_without_usable_gpu_can_train(monkeypatch, driver, remedy):
    monkeypatch.setattr(doctor.torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: driver)
    check = doctor.check_gpu()
    assert not check.blocks and remedy in check.remedy


def test_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(doctor.PACKAGES, 'av', 'no_such_module')
    assert doctor.package_versions()['av'] == 'not installed'
