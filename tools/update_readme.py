"""Write the README's table of results anew from configs/results/*.json."""

from pathlib import Path

from tvn_mmaction.errors import run_tool
from tvn_mmaction.evaluation import Result, results_table
from tvn_mmaction.files import write_atomically

REPOSITORY = Path(__file__).parents[1]
START, END = '<!-- results -->\n', '<!-- end of results -->'


def updated_readme() -> str:
    """Return the README with the table of the results that are there now."""
    results = [Result.load(path) for path in sorted((REPOSITORY / 'configs/results').glob('*.json'))]
    before, _, rest = (REPOSITORY / 'README.md').read_text(encoding='utf-8').partition(START)
    _, _, after = rest.partition(END)
    return f'{before}{START}{results_table(results)}{END}{after}'


def main() -> None:
    """Write the README."""
    write_atomically(REPOSITORY / 'README.md', updated_readme())


if __name__ == '__main__':
    run_tool(main)
