"""Write what the README shows anew: the tables of configs/results, and the picture of the demo set."""

from pathlib import Path

import cv2
import numpy as np

from tvn_mmaction.datasets.demo import ACTIONS, draw_clip
from tvn_mmaction.errors import run_tool
from tvn_mmaction.evaluation import CrossValidation, Result, protocols_table, results_table
from tvn_mmaction.files import write_atomically

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / 'configs/results'


def updated_readme() -> str:
    """Return the README with the tables of the results that are there now."""
    results = [Result.load(path) for path in sorted(RESULTS.glob('*.json'))]
    validations = [CrossValidation.load(path) for path in sorted(RESULTS.glob('cross_validation/*.json'))]
    readme = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
    for name, table in (('results', results_table(results)), ('protocols', protocols_table(validations))):
        start, end = f'<!-- {name} -->\n', f'<!-- end of {name} -->'
        before, _, rest = readme.partition(start)
        readme = f'{before}{start}{table}{end}{rest.partition(end)[2]}'
    return readme


def contact_sheet(groups: int = 4) -> np.ndarray:
    """Return one frame of every action (columns) in several groups (rows), `(H, W, 3)` uint8 RGB."""
    rows = [[draw_clip(name, group, clip=1)[12] for name in ACTIONS] for group in range(1, groups + 1)]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    return cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def main() -> None:
    """Write the README and its picture."""
    write_atomically(REPOSITORY / 'README.md', updated_readme())
    _, picture = cv2.imencode('.jpg', cv2.cvtColor(contact_sheet(), cv2.COLOR_RGB2BGR))
    write_atomically(RESULTS / 'demo_clips.jpg', picture.tobytes())


if __name__ == '__main__':
    run_tool(main)
