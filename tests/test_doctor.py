"""The report of `python -m tvn_mmaction`: what works, what does not, and remedies."""

import subprocess
import sys

import pytest

from tests.small_experiment import REPOSITORY
from tvn_mmaction import __main__ as doctor
from tvn_mmaction import __version__, compat
from tvn_mmaction.datasets import video_reader


def run_doctor(*options: str, path: str = str(REPOSITORY)) -> subprocess.CompletedProcess:
    command = [sys.executable, *options, '-m', 'tvn_mmaction']
    return subprocess.run(command, env={'PYTHONPATH': path}, capture_output=True, text=True, timeout=60)


def test_report_of_this_machine():
    process = run_doctor('-W', 'ignore')
    assert process.returncode == 0, process.stderr
    for expected in (__version__, 'torch', 'decoding', 'GPU', 'CPU threads', 'Training can run.'):
        assert expected in process.stdout
    for patch in compat.PATCHES:
        assert all(text in process.stdout for text in (patch.name, patch.symptom, patch.source))


def test_only_the_standard_library_is_needed():
    process = run_doctor('-S')  # without installed packages
    assert process.returncode == 1 and not process.stderr
    for package in doctor.MODULES:
        assert f'| {package} ' in process.stdout
        assert (f'pip install {package} ' in process.stdout) == (package not in doctor.OPTIONAL)
    assert 'Training cannot run' in process.stdout


def test_missing_system_library_is_named(tmp_path):
    (tmp_path / 'cv2.py').write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    process = run_doctor('-S', path=f'{tmp_path}:{REPOSITORY}')
    assert process.returncode == 1 and not process.stderr
    assert 'broken: ImportError: libGL.so.1' in process.stdout and 'apt-get install libgl1' in process.stdout


def test_missing_and_broken_packages_are_reported(monkeypatch):
    def import_module(name):
        raise ModuleNotFoundError(name=name) if name == 'av' else OSError('no symbol')

    monkeypatch.setattr(doctor.importlib, 'import_module', import_module)
    checks = {check.name: check for check in doctor.check_packages()}
    assert (checks['av'].result, checks['av'].remedy) == ('not installed', 'pip install av')
    assert checks['torch'].result == 'broken: OSError: no symbol' and '--force-reinstall' in checks['torch'].remedy
    assert checks['torch'].blocks and not checks['decord'].blocks


@pytest.mark.parametrize('contrib', [None, '4.9.0.80', '4.12.0.88'])
def test_builds_of_opencv_have_the_same_version(monkeypatch, contrib):
    def version(package):
        found = {'opencv-python': '4.9.0.80', 'opencv-contrib-python': contrib}.get(package)
        if not found:
            raise doctor.PackageNotFoundError
        return found

    monkeypatch.setattr(doctor, 'version', version)
    remedies = [check.remedy for check in doctor.check_opencv_builds()]
    if contrib == '4.12.0.88':
        assert remedies[0].endswith(' opencv-python==4.9.0.80 opencv-contrib-python==4.9.0.80')
    else:
        assert not remedies


def test_frames_are_compared_with_those_that_were_written(monkeypatch):
    assert doctor.check_decoding() == doctor.Check('decoding', 'works')
    monkeypatch.setattr(video_reader.VideoReader, '__iter__', lambda video: iter(()))
    check = doctor.check_decoding()
    assert check.result.startswith('reads grey levels []') and check.blocks
    monkeypatch.setattr(video_reader.VideoReader, '_open', lambda video: 1 / 0)
    assert doctor.check_decoding().result == 'ZeroDivisionError: division by zero'


def test_missing_pkg_resources_is_reported_with_its_remedy(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, 'find_spec', lambda name: None)
    check = doctor.check_config_inheritance()
    assert check.blocks and check.remedy == "pip install 'setuptools<82'"


@pytest.mark.parametrize(('driver', 'remedy'), [(None, ''), ('/usr/bin/nvidia-smi', 'pytorch.org')])
def test_machine_without_usable_gpu_can_train(monkeypatch, driver, remedy):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: driver)
    check = doctor.check_gpu()
    assert not check.blocks and remedy in check.remedy
