"""Frame selection with the tools: from videos to scores of frames, recognizers on them, and the comparison."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.frame_selection.planted_videos import (
    FRAMES,
    SALIENT,
    salient_frames,
    write_planted,
    write_recognizer,
    write_selector,
)
from tests.small_experiment import REPOSITORY, call_tool
from tvn_mmaction.apis import train_test
from tvn_mmaction.config.loading import configure_training, read_config
from tvn_mmaction.datasets.manifest import read_manifest
from tvn_mmaction.datasets.preparation.frame_store_builder import build_frames
from tvn_mmaction.datasets.transforms.selected_frames import Selection
from tvn_mmaction.evaluation.provenance import config_digest
from tvn_mmaction.evaluation.report import results_table
from tvn_mmaction.evaluation.result import Result
from tvn_mmaction.experiments.cross_validation.cross_validation_plan import plan_cross_validation
from tvn_mmaction.frame_selection import sampling_comparison, scoring
from tvn_mmaction.frame_selection.sampling_record import SAMPLINGS, SamplingComparison, samplings_table
from tvn_mmaction.utils.errors import UserError
from tvn_mmaction.utils.io import sha256_of

SELECT = REPOSITORY / 'tools/select_frames.py'
# MMEngine names runs by the second that they start in.
pytestmark = pytest.mark.filterwarnings('ignore:.*instance named of')


def train(file: Path, data_root: Path, work_dir: Path, **options) -> Path:
    """Return the last checkpoint."""
    settings = read_config(file, str(work_dir), str(data_root), options)
    configure_training(settings, validate=False)
    result = train_test.train(settings)
    return work_dir / result.checkpoint


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Planted videos with a frame store, a selector and a recognizer trained for an epoch, and a selection."""
    folder = tmp_path_factory.mktemp('selection')
    data_root = write_planted(folder)
    build_frames(data_root, 32, 95)
    train(write_selector(folder, epochs=1), data_root, folder / 'selector')
    train(write_recognizer(folder), data_root, folder / 'recognizer')
    call_select(folder, *smart(folder)).save(folder / 'smart.json')
    return folder


def call_select(folder: Path, *arguments: str) -> Selection:
    out = folder / 'made.json'
    out.unlink(missing_ok=True)
    call_tool(SELECT, *arguments, '--out', str(out), '--candidates', '8', '--data-root', str(folder / 'lists'))
    return Selection.load(out)


def smart(folder: Path) -> list[str]:
    return [str(folder / 'selector.py'), str(folder / 'selector/epoch_1.pth')]


def recognizer(folder: Path) -> list[str]:
    return [str(folder / 'recognizer.py'), str(folder / 'recognizer/epoch_1.pth')]


def comparing(folder: Path, selection: Path, out: Path, frames: int = 2) -> list[str]:
    """Return the arguments for a comparison of samplings with the recognizer."""
    config, checkpoint = recognizer(folder)
    paths = {'--compare': selection, '--out': out / 'record.json', '--work-dir': out, '--data-root': folder / 'lists'}
    return [config, f'{frames}={checkpoint}', *(str(word) for option in paths.items() for word in option)]


def hits(selection: Selection, data_root: Path) -> float:
    """Return the share of salient frames among the best ones."""
    found = [
        len(set(selection.best(SALIENT)[clip.sha256].tolist()) & set(salient_frames(Path(clip.path).stem)))
        for clip in read_manifest(data_root)
    ]
    return float(np.mean(found)) / SALIENT


def test_methods_score_all_clips_of_videos_and_of_the_frame_store(folder, capsys):
    made = {
        'smart': Selection.load(folder / 'smart.json'),
        'random': call_select(folder, recognizer(folder)[0], '--method', 'random'),
        'oracle': call_select(folder, *recognizer(folder), '--method', 'oracle'),
    }
    for method, selection in made.items():
        assert (selection.method, selection.looks_at_labels) == (method, method == 'oracle')
        assert set(selection.clips) == {clip.sha256 for clip in read_manifest(folder / 'lists')}
        assert all(clip['frames'] == list(range(FRAMES)) for clip in selection.clips.values())
        assert len({tuple(clip['scores']) for clip in selection.clips.values()}) == 24
        assert (selection.macs > 0) == (method == 'smart')
        assert (selection.checkpoint_sha256 is None) == (method == 'random')
        assert (selection.seed is None) == (method != 'random')
        assert (selection.parameters > 0) == (method == 'smart') and selection.initial_weights == 'scratch'
    assert made['smart'].train_list_sha256 == made['oracle'].train_list_sha256 is not None
    stored = call_select(folder, *smart(folder), '--cfg-options', 'decoder=FrameStore')
    for key, clip in made['smart'].clips.items():
        np.testing.assert_allclose(stored.clips[key]['scores'], clip['scores'], rtol=0.2)  # JPEGs lose a little
    output = capsys.readouterr().out
    assert output.count('24 clips with scores of 8 frames each') == 3
    data = f'--data-root {folder / "lists"} --cfg-options'
    selected = f'selection={folder / "made.json"}\n'
    trained = 'next: python tools/train.py configs/frame_selection/tvn1_selected_ucf50.py'
    # A selection of the oracle is not for training.
    assert output.count('next: ') == 2 and output.count(f'{trained} {data} {selected}') == 1
    assert output.count(f'{trained} {data} decoder=FrameStore {selected}') == 1
    assert 'by oracle, which uses the labels' in output and 'the selector takes 0.01 GMACs per video' in output


@pytest.mark.slow
def test_selector_with_equal_scores_is_reported(folder, tmp_path, capsys):
    whole = torch.load(folder / 'selector/epoch_1.pth', weights_only=True)
    for name, value in whole['state_dict'].items():
        if name.startswith(('cls_head.single', 'cls_head.attention', 'cls_head.relation')):
            value.zero_()
    torch.save(whole, tmp_path / 'flat.pth')
    selection = call_select(folder, smart(folder)[0], str(tmp_path / 'flat.pth'))
    assert len(selection.undecided) == 24
    output = capsys.readouterr().err
    assert 'all frames of 24 of the 24 clips have equal scores, within 0.1 %' in output and 'longer' in output
    call_select(folder, recognizer(folder)[0], '--method', 'random')
    assert 'equal scores' not in capsys.readouterr().err


def test_random_scores_depend_on_clip_and_seed_only(folder):
    first, other = (scoring._random(8, seed) for seed in (0, 1))
    clips = [{'sha256': clip.sha256} for clip in read_manifest(folder / 'lists')]
    drawn = {tuple(draw(clip)) for clip in clips for draw in (first, other)}
    assert len(drawn) == 48 and {len(scores) for scores in drawn} == {8}
    assert [first(clip) for clip in clips] == [first(clip) for clip in reversed(clips)][::-1]


def test_oracle_scores_are_probabilities_of_the_true_class(folder):
    """The clip of each score repeats one frame."""
    selection = call_select(folder, *recognizer(folder), '--method', 'oracle')
    settings = read_config(recognizer(folder)[0], data_root=str(folder / 'lists'))
    network, metadata = scoring.load_network(Path(recognizer(folder)[1]), settings)
    pipeline = scoring.FramePipeline(metadata.pipeline)
    clip = read_manifest(folder / 'lists')[0]
    still = pipeline.of_clip(_frames(folder / 'lists' / clip.path)[3:4])
    with torch.no_grad():
        probability = network(still[None]).softmax(1)[0, metadata.classes.index(clip.class_name)]
    assert selection.clips[clip.sha256]['scores'][3] == pytest.approx(probability.item(), rel=1e-4)


def _frames(path: Path) -> list[np.ndarray]:
    import decord

    return list(decord.VideoReader(str(path))[:].asnumpy())


def test_interruption_keeps_finished_clips(folder, tmp_path, monkeypatch):
    read, count = scoring._read, iter(range(100))

    def interrupted(*clip):
        if next(count) == 5:
            raise KeyboardInterrupt
        return read(*clip)

    monkeypatch.setattr(scoring, '_read', interrupted)
    out = tmp_path / 'smart.json'
    command = [*smart(folder), '--out', str(out), '--candidates', '8', '--data-root', str(folder / 'lists')]
    with pytest.raises(KeyboardInterrupt, match=r'5 clips are in .*smart\.json\. Repeat the command'):
        call_tool(SELECT, *command)
    half = Selection.load(out)
    marked, *_ = half.clips
    half.clips[marked]['scores'][0] = 77.0  # finished clips are not scored again
    half.save(out)
    monkeypatch.undo()
    call_tool(SELECT, *command)
    whole, fresh = Selection.load(out).clips, Selection.load(folder / 'smart.json').clips
    assert len(half.clips) == 5 and whole.pop(marked)['scores'][0] == 77.0
    assert whole == {key: clip for key, clip in fresh.items() if key != marked}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('recognizer.py recognizer/epoch_1.pth', 'has a I3DHead instead of a FrameSelectorHead.*Name a selector'),
        ('selector.py recognizer/epoch_1.pth', r'does not fit the model of its config'),
        ('selector.py selector/epoch_1.pth --cfg-options clip.size=16',
         r'epoch_1\.pth was trained on frames of 32 × 32 pixels, and .*selector\.py has .* 16 × 16 .*\. Leave'),
        ('selector.py nowhere.pth', r'nowhere\.pth is not a file\. Give the path of a checkpoint'),
        ('selector.py selector/epoch_1.pth --candidates 4', r'of another network, method or config\. Name another'),
        ('recognizer.py --method random', r'of another network, method or config\. Name another'),
        ('selector.py selector/epoch_1.pth --out lists', r'--out .*lists is a folder\. Name a file'),
        ('selector.py selector/epoch_1.pth --out selector.py', r'is not a valid selection of frames'),
    ],
)  # fmt: skip
def test_misuse_is_reported(folder, arguments, message, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        call_tool(SELECT, '--data-root', 'lists', '--candidates', '8', '--out', 'smart.json', *arguments.split())


def test_unreadable_clip_is_reported_and_finished_clips_are_kept(folder):
    broken = read_manifest(folder / 'lists')[-1]
    data = folder / 'lists' / broken.path
    content = data.read_bytes()
    data.write_bytes(content[:200])
    try:
        with pytest.raises(UserError, match=rf'{data.name} cannot be read .*repeat the command to continue'):
            call_select(folder, *smart(folder))
    finally:
        data.write_bytes(content)
    assert 0 < len(Selection.load(folder / 'made.json').clips) < 24


@pytest.mark.slow
def test_trained_selector_finds_salient_frames(folder, tmp_path):
    data_root = folder / 'lists'
    checkpoint = train(write_selector(tmp_path, epochs=8), data_root, tmp_path / 'work')
    settings = read_config(tmp_path / 'selector.py', data_root=str(data_root))
    found = hits(scoring.select_frames(settings, checkpoint, 'smart', FRAMES, tmp_path / 'smart.json'), data_root)
    chance = hits(scoring.select_frames(settings, None, 'random', FRAMES, tmp_path / 'random.json'), data_root)
    assert found > 0.7 > 0.4 > chance


@pytest.mark.slow
def test_recognizer_trains_on_selected_frames(folder, tmp_path):
    """From the frame store; the file is that of the variable `selection`."""
    call_select(folder, recognizer(folder)[0], '--method', 'random')
    checkpoint = train(
        write_recognizer(tmp_path, sampling='SelectedFrames'),
        folder / 'lists',
        tmp_path / 'work',
        decoder='FrameStore',
        selection=str(folder / 'made.json'),
    )
    result = Result.load(checkpoint.parent / 'result.json')
    for pipeline in (result.protocol.train_pipeline, result.protocol.test_pipeline):
        assert (pipeline[1]['type'], pipeline[1]['selection']) == ('SelectedFrames', str(folder / 'made.json'))
        assert (pipeline[1]['method'], pipeline[1]['selection_sha256']) == ('random', sha256_of(folder / 'made.json'))
    assert result.protocol.split == 'ucf101like'  # random scores depend on no training
    with pytest.raises(UserError, match=r'no selection of frames at gone\.json\. Create it with'):
        train(tmp_path / 'recognizer.py', folder / 'lists', tmp_path / 'other', selection='gone.json')


@pytest.mark.slow
def test_selecting_all_candidates_equals_uniform_sampling(folder, tmp_path, capsys, monkeypatch):
    """A repeated call does not test again."""
    selected, out = Selection.load(folder / 'smart.json'), tmp_path / 'record.json'
    arguments = comparing(folder, folder / 'smart.json', tmp_path, frames=8)
    capsys.readouterr()
    counted = iter(range(100))

    def interrupted(*what):
        if next(counted) == 2:
            raise KeyboardInterrupt
        return train_test.test(*what)

    monkeypatch.setattr(sampling_comparison, 'test', interrupted)
    with pytest.raises(KeyboardInterrupt, match=r'2 of 6 tests are finished, in .*\. Repeat'):
        call_tool(SELECT, *arguments)
    call_tool(SELECT, *arguments)
    assert next(counted) == 3 + 4  # finished tests are not repeated
    output = capsys.readouterr().out
    record = SamplingComparison.load(out)
    tests = {test.sampling: test for test in record.tests}
    assert list(tests) == list(SAMPLINGS)
    results = [Result.load(path) for path in tmp_path.glob('test_*/result.json')]
    assert len(results) == len(SAMPLINGS)
    for name in ('random', 'smart', 'oracle'):
        assert tests[name].top1 == tests['uniform'].top1
    assert {name: test.selector_macs for name, test in tests.items() if test.selector_macs} == {'smart': selected.macs}
    assert {test.macs for test in record.tests} == {tests['uniform'].macs} != {0}
    assert {(test.trained_on, test.trained_frames) for test in record.tests} == {('SampleFrames', 2)}
    assert (record.train_clips, record.test_clips, record.candidates, list(record.frame_size)) == (18, 6, 8, [32, 32])

    table = samplings_table([record])
    assert table.count('| `recognizer`, `SampleFrames` of 2 |') == len(SAMPLINGS)
    assert table in output and f'written: {out}' in output
    assert [line.split(' | ')[1] for line in table.splitlines()[2:]] == list(SAMPLINGS)
    assert f'{(tests["smart"].macs + selected.macs) / 1e9:.2f} G' in table.splitlines()[-2]
    assert ' G |' not in table.splitlines()[-1]  # the oracle has no cost

    monkeypatch.setattr(sampling_comparison, 'test', None)
    call_tool(SELECT, *arguments)
    assert SamplingComparison.load(out) == record
    replace(record, name='other').save(out)
    with pytest.raises(UserError, match=r'record\.json is there already, of another name \(other, and here recognizer'):
        call_tool(SELECT, *arguments)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'method': 'random'}, r'made\.json was selected by random\. Name one of the method smart'),
        ({'train_list_sha256': 'other'}, r'the selector of .*made\.json is not known to be trained on .* may have'),
        ({'clips': {}}, r'made\.json lacks 6 of the 6 clips of test_dataloader'),
        ({'candidates': 1, 'clips': {}}, r'2=.*epoch_1\.pth: .* has only 1 candidates per clip'),
    ],
)
def test_unsuitable_selection_is_refused(folder, tmp_path, changes, message):
    replace(Selection.load(folder / 'smart.json'), **changes).save(tmp_path / 'made.json')
    arguments = comparing(folder, tmp_path / 'made.json', tmp_path)
    with pytest.raises(UserError, match=message):
        call_tool(SELECT, *arguments)
    assert not (tmp_path / 'record.json').exists() and not list(tmp_path.glob('test_*'))


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('clip.size=16', r'epoch_1\.pth was trained on frames of 32 × 32 pixels, and .* has frames of 16 × 16 pixels'),
        ('train_dataloader.dataset.subset=fit', r'epoch_1\.pth is not known to be trained on .*recognizer\.py'),
        ('test_dataloader.dataset.subset=validation', r"'validation', but samplings are compared on the test clips"),
    ],
)
def test_unsuitable_option_is_refused_before_the_tests(folder, tmp_path, option, message):
    arguments = comparing(folder, folder / 'smart.json', tmp_path, frames=4)
    with pytest.raises(UserError, match=message):
        call_tool(SELECT, *arguments, '--cfg-options', option)
    assert not list(tmp_path.glob('test_*'))


def test_recognizer_of_dense_clips_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r'samples with SampleFrames and clip_len=2 instead of single frames\. Name a'):
        sampling_comparison.compare_samplings(
            str(REPOSITORY / 'configs/baselines/slowonly_r50_ucf50.py'),
            {2: Path(recognizer(folder)[1])},
            folder / 'smart.json',
            tmp_path / 'record.json',
            str(tmp_path),
            str(folder / 'lists'),
        )


def selecting(folder: Path, tmp_path: Path, **options):
    """Return the config of a recognizer on selected frames, by default those of the selector."""
    file = write_recognizer(tmp_path, sampling='SelectedFrames')
    options = {'selection': str(folder / 'smart.json'), 'decoder': 'FrameStore', **options}
    return read_config(file, str(tmp_path / 'work'), str(folder / 'lists'), options)


@pytest.mark.slow
def test_result_of_a_leaking_selector_has_no_split(folder, tmp_path, capsys):
    """Parameters and initial weights of the selector count for the recognizer."""
    leaking = replace(Selection.load(folder / 'smart.json'), train_list_sha256='5' * 64, initial_weights='k400.pth')
    leaking.save(tmp_path / 'leaking.json')
    found = {}
    for file in (folder / 'smart.json', tmp_path / 'leaking.json'):
        settings = selecting(folder, tmp_path, selection=str(file))
        settings.work_dir = str(tmp_path / file.stem)
        configure_training(settings, validate=False)
        found[file.stem] = train_test.train(settings)
        output = capsys.readouterr().err
        # Before the first epoch.
        assert ('state no split: ' in output.partition('epoch   1/')[0]) == (file.stem == 'leaking')
    assert (found['smart'].protocol.split, found['smart'].protocol.initial_weights) == ('ucf101like', 'scratch')
    unknown = found['leaking'].protocol
    assert unknown.split is unknown.test_clips_with_copy_in_train is None and unknown.initial_weights == 'k400.pth'
    own = Result.load(folder / 'recognizer/result.json').costs['parameters']
    assert found['smart'].costs['parameters'] == own + leaking.parameters > own
    assert '2 × 32 × 32, selected by smart |' in results_table([found['smart']])


def test_selection_of_other_clips_is_refused_before_the_training(folder, tmp_path):
    whole = Selection.load(folder / 'smart.json')
    train_clip = read_manifest(folder / 'lists')[-1]
    lacking = {key: clip for key, clip in whole.clips.items() if key != train_clip.sha256}
    replace(whole, clips=lacking).save(tmp_path / 'lacking.json')
    settings = selecting(folder, tmp_path, selection=str(tmp_path / 'lacking.json'))
    configure_training(settings, validate=False)
    message = rf'lacking\.json lacks 1 of the 18 clips of train_dataloader, the first .*{Path(train_clip.path).name}'
    with pytest.raises(UserError, match=message):
        train_test.train(settings)
    with pytest.raises(UserError, match=rf'lacking\.json lacks 1 of the .*{Path(train_clip.path).name}'):
        plan_cross_validation(settings, 'group5').choose([0])


@pytest.mark.slow
def test_selection_fits_one_fold(folder, tmp_path):
    whole = plan_cross_validation(selecting(folder, tmp_path), 'group5')
    with pytest.raises(UserError, match=r'fold 0: .*recognizer\.py reads frames selected by .*--folds'):
        whole.choose([0])
    chance = tmp_path / 'random.json'
    replace(Selection.load(folder / 'smart.json'), method='random', checkpoint_sha256=None).save(chance)
    assert len(plan_cross_validation(selecting(folder, tmp_path, selection=str(chance)), 'group5').choose([0, 1])) == 2


def test_config_digest_depends_on_the_selection_and_not_on_its_path(folder, tmp_path):
    before = config_digest(selecting(folder, tmp_path))
    (tmp_path / 'moved.json').write_bytes((folder / 'smart.json').read_bytes())
    assert config_digest(selecting(folder, tmp_path, selection=str(tmp_path / 'moved.json'))) == before
    replace(Selection.load(folder / 'smart.json'), macs=1).save(tmp_path / 'moved.json')
    assert config_digest(selecting(folder, tmp_path, selection=str(tmp_path / 'moved.json'))) != before


@pytest.mark.parametrize('name', ['tvn1_selected_ucf50', 'tsn_r18_selected_ucf50'])
def test_configs_use_the_variables_clip_and_selection(name):
    options = {'clip.frames': 4, 'clip.size': 32, 'selection': 'mine.json'}
    settings = read_config(REPOSITORY / f'configs/frame_selection/{name}.py', data_root='nowhere', options=options)
    for loader in (settings.train_dataloader, settings.val_dataloader, settings.test_dataloader):
        _, sampling, _, resize, *_ = loader.dataset.pipeline
        assert (sampling.type, sampling.selection) == ('SelectedFrames', 'mine.json')
        assert (sampling.clip_len, sampling.num_clips, tuple(resize.scale)) == (1, 4, (32, 32))
    assert settings.model.backbone.get('num_segments', 4) == 4
