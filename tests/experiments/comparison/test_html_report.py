"""Report of a comparison as HTML, Markdown and CSV."""

import base64
import csv
import html
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tvn_mmaction.experiments.comparison import html_report, tables
from tvn_mmaction.experiments.comparison.comparison import Comparison
from tvn_mmaction.experiments.comparison.html_report import write_report
from tvn_mmaction.experiments.comparison.tables import comparison_rows

from .synthetic import entry_of, networks, scores_of

NAMES = ['tvn1', 'tsm_r50', 'c3d', 'slowfast_k400']
CLASSES = ['Biking', 'Straße', '<script>alert(1)</script>', 'a|b `c` [d](e)\n*f*']


@pytest.fixture(scope='module')
def comparison():
    return networks(NAMES, CLASSES)


@pytest.fixture(scope='module')
def report(comparison, tmp_path_factory):
    frames = {clip: np.full((240, 320, 3), (200, 0, 0), np.uint8) for clip in comparison.disputed_clips[:3]}
    written = write_report(comparison, frames, tmp_path_factory.mktemp('report') / 'new')
    assert [path.name for path in written] == ['report.html', 'report.md', 'report.csv']
    return {path.suffix: path.read_text(encoding='utf-8') for path in written}


def test_all_three_have_the_same_numbers(comparison, report):
    groups = comparison_rows(comparison)
    rows = [row for group in groups.values() for row in group]
    for row, line in zip(rows, csv.DictReader(report['.csv'].splitlines()), strict=True):
        assert {name: '' if value is None else str(value) for name, value in asdict(row).items()} == line
        for columns in (tables.RESULT_COLUMNS,) if row.reference else (tables.RESULT_COLUMNS, tables.TEST_COLUMNS):
            cells = [column.text(row) for column in columns]
            assert '| ' + ' | '.join(map(html.escape, cells)) + ' |' in report['.md']
            for cell in cells[1:]:
                assert f'>{html.escape(cell)}</td>' in report['.html']
        assert f'data-value="{row.top1}"' in report['.html']
        assert f'data-value="{row.latency_batch1_median_ms}"' in report['.html']


def test_charts_of_many_classes_are_bounded():
    few, many = (networks(['one', 'two'], [f'class {i:04d}' for i in range(count)], 2) for count in (60, 600))
    assert len(html_report.comparison_page(many, {})) < 1.5 * len(html_report.comparison_page(few, {}))


def test_columns_are_plain_numbers_with_units(report):
    first = next(csv.DictReader(report['.csv'].splitlines()))
    for name in ('top1', 'top1_low', 'top1_high', 'parameters', 'gmacs', 'latency_batch1_median_ms', 'train_seconds'):
        float(first[name])
    assert (first['input_frames'], first['input_height_px'], first['input_width_px']) == ('8', '200', '200')


def test_each_kind_of_initial_weights_has_its_own_table(report):
    for text in (report['.md'], report['.html']):
        scratch, pretrained = text.index('Trained from scratch'), text.index('Pretrained')
        between = text[scratch:pretrained]
        assert 'c3d' in between and 'slowfast' not in between and 'k400' not in between


def test_protocol_leak_differences_and_caveats_are_stated(report):
    for text in (report['.md'], report['.html']):
        for words in (
            'group5',
            'no test clip shares its source video',
            'Großer Prozessor',
            'float32',
            'Differences between networks',
        ):
            assert words in text, words
        assert 'the p-values are too small' in text and 'another seed' in text
    assert '* epochs: 40 (tvn1, tsm_r50, c3d); 20 (slowfast_k400)' in report['.md']


def test_names_of_classes_are_escaped(report):
    page_text = report['.html']
    assert '<script>alert' not in page_text and '<script>alert' not in report['.md']
    assert '&lt;script&gt;alert(1)&lt;/script&gt;' in page_text
    assert r'a\|b \`c\` \[d\](e) \*f\*' in report['.md']
    assert page_text.count('<script') == 3  # the figures, plotly once, and the page's own
    assert page_text.count('plotly.js v') == 1


def test_names_of_networks_data_and_options_are_escaped():
    """The page has only the tags and attributes of its template."""
    labels = np.array([0, 0, 1, 1])
    scores = [scores_of(labels, predicted, ['a', 'b']) for predicted in ([0, 0, 1, 1], [0, 1, 1, 0])]

    def tags(name: str) -> list[tuple[str, tuple[str, ...]]]:
        changes = dict(data=name, split=name, initial_weights=name, precision=name)
        entries = [entry_of(name, part, options={name: name}, **changes) for part in scores]
        comparison = Comparison(entries)
        assert '<img' not in tables.comparison_markdown(comparison)
        found = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attributes: found.append((tag, tuple(key for key, _ in attributes)))
        parser.feed(html_report.comparison_page(comparison, {}))
        return found

    hostile = """'"><img src=x onerror=alert(1)><script>alert(1)</script></script></style></title>"""
    assert tags(hostile) == tags('a' * len(hostile))


def test_page_loads_nothing_from_the_internet(report):
    assert "default-src 'none'" in report['.html']
    own = report['.html'].replace(html_report.get_plotlyjs(), '')
    assert not [tag for tag in ('src="http', 'href="http', '@import', 'url(') if tag in own]
    assert own.count('data:image/jpeg;base64,') == 3 and 'no frame' in own


def test_thumbnails_are_small_and_keep_their_colour():
    picture = html_report._thumbnail(np.full((480, 640, 3), (250, 0, 0), np.uint8)).partition(',')[2]
    image = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (120, 160, 3) and image[60, 80, 0] > 240 and image[60, 80, 2] < 20


def test_nothing_is_written_if_one_file_fails(comparison, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, 'comparison_csv', lambda comparison: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(comparison, {}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_losses_are_reported_like_gains():
    labels = np.repeat([0, 1], 30)
    right, wrong = scores_of(labels, labels, 'ab'), scores_of(labels, [0] * 60, 'ab')
    comparison = Comparison([entry_of('reference', right), entry_of('loser', wrong), entry_of('equal', right)])
    assert tables.verdicts(comparison) == {
        'better': [],
        'worse': ['loser (−50.0 points)'],
        'no significant difference': ['equal (0.0 points)'],
    }
    text = tables.comparison_markdown(comparison)
    assert '▼ −50.0' in text and '  * get worse: b −100.0 (+0 −30 of 30)' in text


def test_report_without_costs_history_or_protocol():
    """Also with a class without clips."""
    labels = np.array([0, 0, 1, 1])
    scores = [scores_of(labels, predicted, ['a', 'b', 'never']) for predicted in ([0, 0, 1, 1], [0, 2, 1, 0])]
    unknown = dict(latency_ms=None, test_pipeline=None, train_pipeline=None, epochs=None, split=None)
    entries = [entry_of(name, part, **unknown) for name, part in zip(('one', 'other'), scores, strict=True)]
    entries = [
        replace(entry, result=replace(entry.result, costs=entry.result.costs | {'train_seconds': None}))
        for entry in entries
    ]
    comparison = Comparison(entries)
    assert 'latency was not measured for one, other' in html_report.comparison_page(comparison, {})
    text = tables.comparison_markdown(comparison)
    assert not re.search(r'\b(?:None|nan)\b', text)


SAMPLING = {'type': 'SampleFrames', 'clip_len': 16, 'num_clips': 10}
CROPS = {'type': 'ThreeCrop', 'crop_size': 256}


@pytest.mark.parametrize(
    ('pipeline', 'views', 'expected'),
    [
        ([SAMPLING | {'num_clips': 1}, {'type': 'Resize', 'scale': [112, 96]}], 1, (16, 96, 112)),
        ([SAMPLING, {'type': 'Resize', 'scale': [-1, 256]}, CROPS], 30, (16, 256, 256)),
        ([SAMPLING | {'clip_len': 1}, {'type': 'Resize', 'scale': [-1, 256]}], 1, (10, None, None)),
        (None, 1, (None, None, None)),
    ],
)
def test_input_of_one_view(pipeline, views, expected):
    assert tables.input_size(pipeline, views) == expected
