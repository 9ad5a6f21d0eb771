"""Report of a comparison: a self-contained HTML page, Markdown and CSV."""

import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import jinja2
import numpy as np
from mmengine.config import Config
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from ...config.loaders import build_without_videos
from ...datasets.fault_tolerant_loader import name_of_clip
from ...datasets.frame_folder import open_reader
from ...utils.io import write_atomically
from ...version import __version__
from . import published_results, tables
from .charts import DARK, LIGHT, make_charts, network_colours
from .comparison import Comparison

THUMBNAIL_WIDTH_PX = 160
JPEG_QUALITY = 80


def write_report(comparison: Comparison, frames: Mapping[str, np.ndarray], folder: str | Path) -> list[Path]:
    """Write `report.html`, `report.md` and `report.csv`, all or none of them, and return the files.

    `frames` are those of the readable ones of `comparison.disputed_clips`, by name: RGB `(H, W, 3)` uint8.
    """
    contents = {
        'report.html': comparison_page(comparison, frames),
        'report.md': tables.comparison_markdown(comparison),
        'report.csv': tables.comparison_csv(comparison),
    }
    for name, content in contents.items():
        write_atomically(Path(folder, name), content)
    return [Path(folder, name) for name in contents]


def middle_frames(config: Config, loader: str, clips: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the middle frame, `(H, W, 3)` uint8 RGB, of a loader's clips by name; of those that can be read."""
    dataset = build_without_videos(config, loader)
    wanted = {name_of_clip(dataset, index): dataset.get_data_info(index)['filename'] for index in range(len(dataset))}
    frames = {}
    for clip in clips:
        with suppress(OSError, ValueError, IndexError), open_reader(wanted[clip]) as reader:
            (frames[clip],) = reader.frames([reader.frame_count // 2])
    return frames


def comparison_page(comparison: Comparison, frames: Mapping[str, np.ndarray]) -> str:
    """Return the HTML page, which loads nothing from the Internet."""
    light, dark = make_charts(comparison, LIGHT), make_charts(comparison, DARK)
    figures = {
        by_light.key: {'light': list(by_light.views.values()), 'dark': list(by_dark.views.values())}
        for by_light, by_dark in zip(light, dark, strict=True)
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('tvn_mmaction.experiments.comparison', ''),
        autoescape=True,  # names of classes, clips and configs are untrusted
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies['json.dumps_function'] = to_json_plotly
    environment.policies['json.dumps_kwargs'] = {}
    common, different = tables.protocol_facts(comparison)
    colours = zip(network_colours(comparison, LIGHT), network_colours(comparison, DARK), strict=True)
    return environment.get_template('page.html.jinja').render(
        comparison=comparison,
        tables=tables,
        groups=tables.comparison_rows(comparison),
        common=common,
        different=different,
        charts=light,
        figures=figures,
        colours=dict(zip(comparison.names, colours, strict=True)),
        themes={'light': LIGHT, 'dark': DARK},
        thumbnails={clip: _thumbnail(frames[clip]) for clip in comparison.disputed_clips if clip in frames},
        published=published_results,
        plotly=get_plotlyjs(),
        version=__version__,
    )


def _thumbnail(frame: np.ndarray) -> str:
    """Return a small JPEG of an RGB frame as a data URL."""
    height, width = frame.shape[:2]
    if width > THUMBNAIL_WIDTH_PX:
        size = (THUMBNAIL_WIDTH_PX, max(1, round(height * THUMBNAIL_WIDTH_PX / width)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
