"""Knowledge distillation: the loss, and teachers that are frozen and not part of the student."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model import ExponentialMovingAverage

from tests.deploy.networks import randomise, write_checkpoint
from tests.reliability.test_resume import RANDOM, assert_same_bits, train, training_state
from tests.small_experiment import write_config
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.deploy.teachers import check_teachers, load_teacher
from tvn_mmaction.evaluation.provenance import config_digest
from tvn_mmaction.utils.errors import UserError

TEMPERATURE = 3.0


@pytest.fixture(scope='module')
def teacher(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    return write_checkpoint(tmp_path_factory.mktemp('teacher'))[1]


def student(folder: Path, teachers: list[Path], more: str = '', **options):
    """Return a config of the small network with teachers, and its model."""
    taught = f"model.update(type='DistilledRecognizer2D', teachers={[str(file) for file in teachers]})\n" + more
    options = {'model.temperature': TEMPERATURE, 'model.cls_head.dropout_ratio': 0, **options}
    config = read_config(write_config(folder, teachers[0].parent / 'lists', taught), options=options)
    return config, MODELS.build(config.model)


def batch() -> dict:
    torch.manual_seed(1)
    labelled = [ActionDataSample() for _ in range(4)]
    for label, sample in enumerate(labelled):
        sample.set_gt_label(label % 3)
    return {'inputs': list(torch.randint(0, 256, (4, 2, 3, 32, 32), dtype=torch.uint8)), 'data_samples': labelled}


def losses_of(model) -> dict[str, torch.Tensor]:
    data = model.data_preprocessor(batch(), training=True)
    return model(**data, mode='loss')


def test_equal_teacher_gives_zero_loss(teacher, tmp_path):
    _, model = student(tmp_path, [teacher], **{'model.backbone.norm_eval': True, 'model.teacher_share': 1.0})
    model.load_state_dict(torch.load(teacher, weights_only=True)['state_dict'])
    losses = losses_of(model.train())
    losses['loss_distillation'].backward()
    assert losses['loss_distillation'].item() == pytest.approx(0, abs=1e-6)
    assert max(parameter.grad.abs().max() for parameter in model.parameters()) < 1e-5
    model.cls_head.fc_cls.weight.data *= 2
    model.zero_grad()
    losses_of(model)['loss_distillation'].backward()
    assert max(parameter.grad.abs().max() for parameter in model.parameters()) > 1e-3


def test_loss_is_the_formula_over_the_mean_of_teachers(teacher, tmp_path):
    torch.manual_seed(5)
    other = tmp_path / 'other.pth'
    checkpoint = torch.load(teacher, weights_only=True)
    second = {name: value.clone() for name, value in checkpoint['state_dict'].items()}
    second['cls_head.fc_cls.weight'] = -second['cls_head.fc_cls.weight']
    torch.save({**checkpoint, 'state_dict': second}, other)
    share = {'model.teacher_share': 0.25}
    _, model = student(tmp_path, [teacher, other], **share, **{'model.backbone.norm_eval': True})
    randomise(model)
    losses = losses_of(model.train())
    pixels = torch.stack(batch()['inputs']).float()
    taught = sum((load_teacher(file)(pixels) / TEMPERATURE).softmax(1) for file in (teacher, other)) / 2
    data = model.data_preprocessor(batch(), training=True)
    scores = model.cls_head(model.extract_feat(data['inputs'])[0])
    expected = 0.25 * TEMPERATURE**2 * (taught * (taught.log() - (scores / TEMPERATURE).log_softmax(1))).sum(1).mean()
    assert losses['loss_distillation'].item() == pytest.approx(expected.item(), rel=1e-4)
    labels = torch.tensor([0, 1, 2, 0])
    plain = torch.nn.functional.cross_entropy(scores, labels)
    assert losses['loss_cls'].item() == pytest.approx(0.75 * plain.item(), rel=1e-5)


def test_teacher_input_is_independent_of_student_normalisation(teacher, tmp_path):
    """The normalisation of the student does not change the probabilities of the teachers."""
    answers = []
    for mean in (100.0, 0.0):
        more = {'model.data_preprocessor.mean': [mean] * 3, 'model.data_preprocessor.std': [mean / 2 + 1] * 3}
        _, model = student(tmp_path, [teacher], **more)
        answers.append(model.teacher_probabilities(model.data_preprocessor(batch(), training=True)['inputs']))
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-4)


def test_teacher_is_frozen_and_not_part_of_the_model(teacher, tmp_path):
    _, model = student(tmp_path, [teacher])
    own = set(model.state_dict())
    assert own == set(torch.load(teacher, weights_only=True)['state_dict'])
    losses_of(model.train())
    (loaded,) = model._loaded
    before = copy.deepcopy(loaded.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        sum(value for name, value in losses_of(model.train()).items() if 'loss' in name).backward()
        optimizer.step()
    assert not any(module.training for module in loaded.modules())
    assert all(torch.equal(value, before[name]) for name, value in loaded.state_dict().items())
    assert set(model.state_dict()) == own
    assert {id(parameter) for parameter in loaded.parameters()}.isdisjoint(map(id, model.parameters()))
    assert set(ExponentialMovingAverage(model).module.state_dict()) == own


def test_loading_a_teacher_keeps_the_random_state(teacher):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_teacher(teacher)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_interrupted_distillation_resumes_exactly(teacher, tmp_path):
    """The teacher is loaded again in the middle, after the random numbers of earlier dropouts."""
    taught = f"model.update(type='DistilledRecognizer2D', teachers=['{teacher}'])\n" + RANDOM
    file = write_config(tmp_path, teacher.parent / 'lists', taught)
    train(file, tmp_path / 'unbroken')
    train(file, tmp_path / 'broken', at=('train', 4))
    train(file, tmp_path / 'broken', '--resume')
    assert_same_bits(training_state(tmp_path / 'broken'), training_state(tmp_path / 'unbroken'))


def test_matching_teachers_give_no_warning(teacher, tmp_path, capsys):
    config, _ = student(tmp_path, [teacher])
    capsys.readouterr()
    check_teachers(RunPlan(config))
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (
            "for loader in (train_dataloader, val_dataloader):\n    loader['dataset']['pipeline'][3] = "
            "dict(type='Resize', scale=(48, 48), keep_ratio=False)\ndel loader\n",
            r'sees images as 2 × 3 × 32 × 32 and the student images as 2 × 3 × 48 × 48\. Train one of them again',
        ),
        (
            "for loader in (train_dataloader, val_dataloader):\n    loader['dataset']['pipeline'].insert(4, "
            "dict(type='RGBDifference'))\n    loader['dataset']['pipeline'][1].update(clip_len=2)\ndel loader\n",
            r'and the student images of two frames as 2 × 3 × 32 × 32',
        ),
        (
            "train_dataloader['dataset']['metainfo'] = dict(classes=('Biking', 'Diving', 'Fencing', 'Golf'))\n",
            r'has 3 classes \(Biking, Diving, Fencing\) and the data set has 4 classes \(Golf, Biking',
        ),
    ],
    ids=['size', 'differences', 'classes'],
)
def test_teacher_with_other_input_or_classes_is_refused(teacher, tmp_path, more, message):
    config, _ = student(tmp_path, [teacher], more)
    with pytest.raises(UserError, match=message):
        check_teachers(RunPlan(config))


def test_config_digest_depends_on_teachers_and_not_their_path(teacher, tmp_path):
    own = shutil.copy(teacher, tmp_path / 'own.pth')
    digest = config_digest(student(tmp_path, [teacher])[0])
    elsewhere = {'model.teachers': [str(own)]}
    there, _ = student(tmp_path, [teacher], **elsewhere)
    assert config_digest(there) == digest
    own.write_bytes(own.read_bytes() + b'.')
    taught, _ = student(tmp_path, [teacher], **elsewhere)
    assert config_digest(taught) != digest
    own.unlink()  # a test needs no teacher, and the saved config still has its digest
    taught.dump(tmp_path / 'kept.py')
    assert config_digest(read_config(tmp_path / 'kept.py')) == config_digest(taught)


def test_missing_teacher_is_refused_in_training_only(teacher, tmp_path):
    config, model = student(tmp_path, [teacher])
    config.model.teachers = model.teachers = [str(tmp_path / 'gone.pth')]
    with pytest.raises(UserError, match=r'the teacher .*gone\.pth is missing\. Train it first'):
        check_teachers(RunPlan(config))
    data = model.eval().data_preprocessor(batch())
    assert len(model(**data, mode='predict')) == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.teachers': []}, 'give a list of checkpoints'),
        ({'model.teachers': 'a.pth'}, r'model\.teachers is .a\.pth.\. Give a list of checkpoints'),
        ({'model.teacher_share': 1.5}, r'teacher_share is 1\.5'),
        ({'model.temperature': 0}, 'temperature 0'),
    ],
)
def test_invalid_arguments(teacher, tmp_path, options, message):
    with pytest.raises((UserError, ValueError), match=message):
        student(tmp_path, [teacher], **options)
