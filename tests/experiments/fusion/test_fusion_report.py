"""Fusion of tested networks: record, refused inputs, and files that can be compared and fused again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from tests.experiments.comparison.synthetic import entry_of
from tvn_mmaction.evaluation.report import results_table
from tvn_mmaction.evaluation.result import Scores
from tvn_mmaction.experiments.comparison.comparison import Comparison
from tvn_mmaction.experiments.fusion.fusion_report import (
    describe_fusion,
    fuse_networks,
    load_tested_network,
    write_fusion,
)
from tvn_mmaction.utils.errors import UserError

CLASSES = ['Biking', 'Diving', 'Fencing', 'Straße']


def draw(side: str, network: int, per_class: int = 30, **changes):
    """Return a network with two good classes, which differ between networks, tested on one side of a split."""
    generator = np.random.default_rng([network, ord(side[0])])
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    logits = generator.normal(size=(len(labels), len(CLASSES)))
    good = (labels + network) % 4 < 2
    logits[np.arange(len(labels)), labels] += np.where(good, 3, 0.7)
    clips = [f'{CLASSES[label]}/v_{side}_{i}.avi' for i, label in enumerate(labels)]
    scores = Scores(clips, CLASSES, labels, softmax(logits, axis=1).astype(np.float32))
    entry = entry_of(f'network{network}', scores, **changes)
    return replace(entry, result=replace(entry.result, checkpoint_sha256=f'{network}' * 64))


@pytest.fixture
def members():
    return [draw('test', network) for network in (0, 1, 2)]


@pytest.fixture
def validation():
    return [draw('validation', network) for network in (0, 1, 2)]


def test_order_does_not_matter(members):
    shuffled = [replace(member, scores=shuffle(member.scores, seed)) for seed, member in enumerate(members)]
    one, other = fuse_networks(members), fuse_networks(shuffled[::-1])
    assert one[0].top1 == other[0].top1 and one[0].oracle == other[0].oracle and one[0].classes == other[0].classes
    by_clip = [dict(zip(entry.scores.clips, entry.scores.scores, strict=True)) for _, entry, _ in (one, other)]
    for clip, scores in by_clip[0].items():
        np.testing.assert_allclose(by_clip[1][clip], scores, rtol=1e-6)


def shuffle(scores: Scores, seed: int) -> Scores:
    order = np.random.default_rng(seed).permutation(len(scores.clips))
    return Scores([scores.clips[i] for i in order], scores.classes, scores.labels[order], scores.scores[order])


def test_differences_are_those_of_the_fusion_to_each_network(members):
    fusion, entry, _ = fuse_networks(members)
    fused = entry.scores.scores.argmax(1) == entry.scores.labels
    assert fusion.top1 == fused.mean() > max(member.top1 for member in fusion.members)
    for member, network in zip(fusion.members, members, strict=True):
        right = network.scores.scores.argmax(1) == network.scores.labels
        gained, lost = int((fused & ~right).sum()), int((right & ~fused).sum())
        found = member.difference
        assert (found.gained, found.lost) == (gained, lost)
        assert found.value == pytest.approx(fused.mean() - right.mean()) and found.low < found.value < found.high
        # McNemar's exact test: how likely a fair coin divides the clips at least as unevenly.
        assert found.p_value == pytest.approx(min(1, 2 * binom.cdf(min(gained, lost), gained + lost, 0.5)))
    assert fusion.best == max(fusion.members, key=lambda member: member.top1).name
    assert sum(change.gained - change.lost for change in fusion.classes) / fusion.clips == pytest.approx(
        fusion.top1 - max(member.top1 for member in fusion.members)
    )
    assert max(member.top1 for member in fusion.members) <= fusion.oracle <= 1
    assert ', fused with --weights equal |' in results_table([entry.result])


@pytest.mark.parametrize('method', ['fit', 'stacking', 'svm'])
def test_weights_learned_on_the_validation_split_help_on_the_test_split(members, validation, method):
    if method != 'fit':
        pytest.importorskip('sklearn')
    fusion, entry, _ = fuse_networks(members, method, validation)
    assert fusion.top1 > max(member.top1 for member in fusion.members)
    assert fusion.validation_clips == len(validation[0].scores.clips)
    np.testing.assert_allclose(entry.scores.scores.sum(1), 1, rtol=1e-5)
    assert all((member.weight is None) == (method != 'fit') for member in fusion.members)


def blind(entry):
    """Return a network with equal scores for all classes."""
    alike = replace(entry.scores, scores=np.full_like(entry.scores.scores, 1 / len(CLASSES)))
    return entry_of('blind', alike)


def test_fusion_is_a_result_that_can_be_compared_and_fused_again(members, tmp_path):
    fusion, entry, comparison = fuse_networks(members[:2])
    write_fusion(fusion, entry, comparison, tmp_path)
    names = ['classes.png', 'confusion_matrix.png', 'fusion.json', 'result.json', 'scores.npz']
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    loaded = load_tested_network(tmp_path / 'result.json')
    assert loaded.result == entry.result and load_tested_network(tmp_path).result == entry.result
    assert loaded.result.name == 'network0 + network1' and loaded.result.costs['parameters'] == sum(
        member.result.costs['parameters'] for member in members[:2]
    )
    record = json.loads((tmp_path / 'fusion.json').read_text(encoding='utf-8'))
    assert [member['weight'] for member in record['members']] == [0.5, 0.5]
    Comparison([loaded, members[2]])
    again, _, _ = fuse_networks([loaded, members[2]])
    assert [member.name for member in again.members] == ['network0 + network1', 'network2']
    text = describe_fusion(again)
    assert 'only network0 + network1' in text and 'Straße' in text and f'any of them {again.oracle:.1%}' in text


def test_fusion_never_overwrites_another_result(members, validation, tmp_path):
    write_fusion(*fuse_networks(members), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for others in (
        fuse_networks(members[:2]),
        fuse_networks(members, 'fit', validation),
        fuse_networks([draw('other', i) for i in range(3)]),
    ):
        with pytest.raises(UserError, match=r'result\.json is there already, of another .*\. Name another --out'):
            write_fusion(*others, tmp_path)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/result.json').write_text('mine')
    with pytest.raises(UserError, match='is not an earlier record of this measurement'):
        write_fusion(*fuse_networks(members), tmp_path / 'mine')
    write_fusion(*fuse_networks(members), tmp_path)
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items() if name.endswith('json'))


def test_description_has_method_and_gain(members, validation):
    best = max(members, key=lambda entry: entry.result.metrics['top1'].value)
    text = describe_fusion(fuse_networks(members, 'fit', validation)[0])
    assert text.startswith('fused by fitted weights, ') and ', learned from 120 validation clips\n' in text
    assert f'points more than the best member, {best.result.name}\n' in text
    alone = describe_fusion(fuse_networks([best, blind(best)])[0])
    assert alone.startswith('fused by equal weights, the mean of the probabilities\n')
    assert f'\nno gain: {best.result.name} alone has ' in alone and 'points more' not in alone


def test_protocol_has_the_common_fields_of_the_members():
    pretrained = draw('test', 0, initial_weights='k400.pth', views=3, test_pipeline=[])
    _, entry, _ = fuse_networks([draw('test', 1), pretrained])
    protocol = entry.result.protocol
    assert (protocol.split, protocol.epochs, protocol.initial_weights) == ('group5', 40, 'k400.pth')
    assert (protocol.views, protocol.test_pipeline) == (1, [])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda last: replaced(last, checkpoint_sha256='7' * 64), 'is of other weights .*Two trainings of a config'),
        (lambda last: replaced(last, name='other'), 'has the config other there and network2 in its test'),
        (lambda last: replaced(last, options={'budget': 0.5}), 'has the option budget 0.5 there and None'),
        (lambda last: draw('validation', 2, views=10), 'has views 10 there and 1 in its test'),
        (lambda last: draw('validation', 2, test_pipeline=[{'type': 'A'}]), 'has step 0 of the pipeline .*A'),
        (lambda last: trained_on(last, 120), 'was trained on 120 of these 120 clips'),
        (lambda last: trained_on(last, 3), 'was trained on 3 of these 120 clips, more than the 2% that may be'),
        (lambda last: trained_on(last, None), 'it is unknown whether network2'),
        (lambda last: draw('other', 2), 'was tested on .* was not'),
    ],
)
def test_invalid_validation_of_a_network_is_refused(members, validation, change, message):
    with pytest.raises(UserError, match=message):
        fuse_networks(members, 'stacking', [*validation[:2], change(validation[2])])


def test_validation_of_other_networks_or_clips_is_refused(members, validation):
    for others, message in (
        (validation[:2], '2 results for 3 networks'),
        (validation[::-1], 'the result for network0 is of another network'),
        (members, 'is also a test clip .120 such clips'),
        ([of_classes(entry, 3) for entry in validation], 'no clip of Straße'),
    ):
        with pytest.raises(UserError, match=message):
            fuse_networks(members, 'stacking', others)
    with pytest.raises(UserError, match=r'was tested on .* was not'):
        fuse_networks([*members[:2], draw('other', 2)], 'stacking', validation)


def trained_on(entry, clips):
    return replaced(entry, protocol=replace(entry.result.protocol, test_clips_with_copy_in_train=clips))


def replaced(entry, **changes):
    return replace(entry, result=replace(entry.result, **changes))


def test_few_duplicates_in_the_validation_are_accepted(members, validation):
    fusion, _, _ = fuse_networks(members, 'fit', [trained_on(entry, 2) for entry in validation])
    assert fusion.validation_clips == 120


def test_budgets_of_one_network_are_members_with_different_names(members):
    half, full = (replaced(members[0], options={'budget': budget}) for budget in (0.5, 1.0))
    _, entry, _ = fuse_networks([half, full])
    assert entry.result.name == 'network0 budget=0.5 + network0 budget=1.0'


def test_flow_costs_are_summed(members):
    costs = [members[i].result.costs | {'flow_ms_per_clip': ms} for i, ms in enumerate((3, 40))]
    _, entry, _ = fuse_networks(
        [replaced(members[0], costs=costs[0]), replaced(members[1], costs=costs[1]), members[2]]
    )
    assert entry.result.costs['flow_ms_per_clip'] == 43


def of_classes(entry, classes):
    """Return the same network, tested on clips of the first classes only."""
    scores, kept = entry.scores, np.flatnonzero(entry.scores.labels < classes)
    scores = Scores([scores.clips[i] for i in kept], scores.classes, scores.labels[kept], scores.scores[kept])
    made = entry_of(entry.result.name, scores)
    return replace(made, result=replace(made.result, checkpoint_sha256=entry.result.checkpoint_sha256))
