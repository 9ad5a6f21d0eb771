"""Published accuracies on UCF50 and UCF101, each under its own protocol: context, not a comparison."""

import csv
from pathlib import Path

from ...utils.markdown import markdown_table

NOTE = (
    'Context, not a comparison: each accuracy has its own protocol. Most protocols put clips of one source video into '
    'train and test, or use pretraining on other data.'
)
TITLES, *PUBLISHED = csv.reader(Path(__file__).with_suffix('.csv').read_text(encoding='utf-8').splitlines())


def published_table() -> str:
    """Return the note and a Markdown table of all published accuracies."""
    return f'{NOTE}\n\n{markdown_table(TITLES, PUBLISHED)}'
