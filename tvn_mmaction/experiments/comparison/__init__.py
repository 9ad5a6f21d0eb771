"""Networks tested on the same clips, compared: the figures, the charts, and the page that shows them."""

from .comparison import ClassChange, Comparison, Difference, Disagreement, Entry, load_comparison, pareto_front
from .html_report import write_report
from .published_results import published_table
from .tables import Row, comparison_rows, markdown_tables

__all__ = [
    'ClassChange',
    'Comparison',
    'Difference',
    'Disagreement',
    'Entry',
    'Row',
    'comparison_rows',
    'load_comparison',
    'markdown_tables',
    'pareto_front',
    'published_table',
    'write_report',
]
