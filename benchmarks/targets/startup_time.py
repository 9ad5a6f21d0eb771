"""Start-up time of tools and imports, each in its own process."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# MMAction2 1.2 from PyPI lacks a module that it imports; see `compat.patches.missing_drn`.
IMPORT_MMACTION = """
import sys
from types import ModuleType
for name in ('mmaction.models.localizers.drn', 'mmaction.models.localizers.drn.drn'):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].DRN = type('DRN', (), {})
sys.modules['mmaction.models.localizers.drn'].__path__ = []
import mmaction.models
"""


def measure_start_up(tools: Sequence[Path], rounds: int = 7) -> dict[str, Any]:
    """Measure `--help` of tools, and the imports of this package and of MMAction2's models, in alternating rounds.

    Returns:
        Plain data: medians `help_s` by tool, `import_s`, `import_mmaction_s`; `import_ratio`, the median over
        rounds.
    """
    commands = {tool.name: [str(tool), '--help'] for tool in tools}
    commands |= {'import': ['-c', 'import tvn_mmaction'], 'import_mmaction': ['-c', IMPORT_MMACTION]}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(of) for name, of in times.items()}
    ratios = [ours / theirs for ours, theirs in zip(times['import'], times['import_mmaction'], strict=True)]
    return {
        'rounds': rounds,
        'help_s': {tool.name: medians[tool.name] for tool in tools},
        'import_s': medians['import'],
        'import_mmaction_s': medians['import_mmaction'],
        'import_ratio': statistics.median(ratios),
    }
