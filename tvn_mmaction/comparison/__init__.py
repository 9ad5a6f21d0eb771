"""Networks tested on the same clips, compared: the figures, the charts, and the page that shows them."""

from .comparison import ClassChange, Comparison, Difference, Disagreement, Entry, load_comparison, pareto_front
from .fusion import Fusion, describe_fusion, fuse, load_entry, write_fusion
from .page import write_report
from .published import published_table
from .tables import Row, comparison_rows, markdown_tables

__all__ = [
    'ClassChange',
    'Comparison',
    'Difference',
    'Disagreement',
    'Entry',
    'Fusion',
    'Row',
    'comparison_rows',
    'describe_fusion',
    'fuse',
    'load_comparison',
    'load_entry',
    'markdown_tables',
    'pareto_front',
    'published_table',
    'write_fusion',
    'write_report',
]
