"""A network has the same scores in every engine, and its file has all metadata."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from tests.deploy.networks import write_checkpoint
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.deploy.engines import open_engine
from tvn_mmaction.deploy.export.graph_rewrite import optimize_for_inference
from tvn_mmaction.deploy.export.model_export import FORMATS, LabelledClips, export, labelled_clips
from tvn_mmaction.deploy.inference_network import load_network
from tvn_mmaction.deploy.recognizer import load
from tvn_mmaction.utils.errors import UserError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('exported')


@pytest.fixture(scope='module')
def trained(folder):
    config_file, checkpoint = write_checkpoint(folder)
    config = read_config(config_file)
    return config, *load_network(checkpoint, config)


@pytest.fixture(scope='module')
def exported(folder, trained):
    """Return a function that exports once and returns the file."""
    config, network, metadata = trained
    files = {}

    def file_of(suffix, precision):
        if (suffix, precision) not in files:
            file = files[suffix, precision] = folder / f'{precision}{suffix}'
            calibration = labelled_clips(config, 'train_dataloader') if precision == 'int8' else None
            export(network, metadata, file, precision, labelled_clips(config, 'test_dataloader'), calibration)
        return files[suffix, precision]

    return file_of


@pytest.mark.parametrize(
    ('suffix', 'precision'),
    [
        ('.onnx', 'fp32'),
        ('.xml', 'fp32'),
        pytest.param('.xml', 'int8', marks=pytest.mark.slow),
        pytest.param('.onnx', 'int8', marks=pytest.mark.slow),
        pytest.param('.onnx', 'fp16', marks=pytest.mark.slow),
        pytest.param('.xml', 'fp16', marks=pytest.mark.slow),
        pytest.param('.xml', 'bf16', marks=pytest.mark.slow),
    ],
)
def test_file_predicts_like_the_checkpoint(folder, trained, exported, suffix, precision):
    config, _, metadata = trained
    recognizer, plain = load(exported(suffix, precision)), load(folder / 'epoch_3.pth')
    exported_metadata = recognizer.metadata
    assert exported_metadata.precision == precision and exported_metadata.classes == ['Biking', 'Diving', 'Fencing']
    assert replace(exported_metadata, precision='fp32', provenance=metadata.provenance).to_json() == metadata.to_json()
    found = exported_metadata.provenance['export']
    check = labelled_clips(config, 'test_dataloader')
    clips = np.stack(list(check.inputs))
    answers, plain_answers = (one.engine(clips).argmax(1) for one in (recognizer, plain))
    assert found['check_clips'] == 6 and found['same_answer'] == (answers == plain_answers).mean()
    assert found['top1'] == (answers == check.labels).mean()
    assert found['top1_fp32'] == (plain_answers == check.labels).mean()
    tolerance = {'fp32': 1e-4, 'fp16': 0.01, 'bf16': 0.05, 'int8': 0.1}[precision]
    assert found['largest_score_difference'] <= 10 * tolerance
    for batch in (1, 3, 6, 1):  # of any size, in any order
        np.testing.assert_allclose(
            recognizer.engine(clips[:batch]), plain.engine(clips[:batch]), rtol=0, atol=10 * tolerance
        )
    video = next((folder / 'videos/Fencing').iterdir())
    assert recognizer(video).probabilities == pytest.approx(plain(video).probabilities, abs=tolerance)


def test_file_with_other_scores_is_not_written(trained, tmp_path, monkeypatch):
    def wrongly_rewritten(network):
        network = optimize_for_inference(network)
        next(network.recognizer.cls_head.parameters()).data[0] += 1
        return network

    config, network, metadata = trained
    monkeypatch.setattr('tvn_mmaction.deploy.export.model_export.optimize_for_inference', wrongly_rewritten)
    with pytest.raises(UserError, match='is not written: its scores differ'):
        export(network, metadata, tmp_path / 'a.onnx', 'fp32', labelled_clips(config, 'test_dataloader'))
    assert not list(tmp_path.iterdir())


def test_file_with_unknown_steps_is_refused(exported, tmp_path):
    model = onnx.load(exported('.onnx', 'fp32'))
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"Resize"', '"os.system"')
    onnx.save(model, tmp_path / 'changed.onnx')
    with pytest.raises(UserError, match=r"asks for the step 'os\.system'"):
        open_engine(tmp_path / 'changed.onnx')
    del model.metadata_props[:]
    onnx.save(model, tmp_path / 'bare.onnx')
    with pytest.raises(UserError, match=r'was not written by tools/export\.py'):
        open_engine(tmp_path / 'bare.onnx')


def test_without_clips_noise_is_checked_and_int8_is_refused(trained, tmp_path):
    config, network, metadata = trained
    config = read_config(config.filename, data_root=str(tmp_path / 'nowhere'))
    check = labelled_clips(config, 'test_dataloader')
    assert check.labels is None and check.inputs[0].shape == tuple(metadata.input_shape)
    with pytest.raises(UserError, match='int8 needs training clips'):
        export(network, metadata, tmp_path / 'a.xml', 'int8', check, labelled_clips(config, 'train_dataloader'))
    with pytest.raises(UserError, match=r'onnxruntime does not support bf16\. Use one of fp32, fp16, int8'):
        export(network, metadata, tmp_path / 'a.onnx', 'bf16', check)


def test_missing_library_is_reported(trained, tmp_path, monkeypatch):
    _, network, metadata = trained
    monkeypatch.setattr('tvn_mmaction.deploy.engines.find_spec', lambda module: None)
    for suffix in FORMATS:
        with pytest.raises(UserError, match=r'is not installed\. Install it with pip install -e "\.\[deploy\]"'):
            export(network, metadata, tmp_path / f'a{suffix}', 'fp32', LabelledClips([], None))
