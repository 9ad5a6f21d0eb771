"""Looking at a training while it runs."""

import json
import time
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvn_mmaction.utils.io import write_atomically

LOOK_STEPS = 20  # between two looks
LOOKS = 'looks.json'


@HOOKS.register_module()
class ResourceMonitorHook(Hook):
    """Looks every few steps at memory (MB), CPU time and open files of the training process and of its data loaders.

    It looks at the time, too, that a hypervisor kept from this machine for others, since that slows everything down.
    """

    priority = 'LOWEST'

    def __init__(self):
        self.looks: list[dict[str, float]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Look."""
        import psutil  # an extra

        if runner.iter % LOOK_STEPS:
            return
        main = psutil.Process()
        workers = main.children()
        used = main.cpu_times()
        self.looks.append(
            {
                'step': runner.iter,
                'seconds': time.monotonic(),
                'cpu_seconds': used.user + used.system,
                'stolen_seconds': getattr(psutil.cpu_times(percpu=False), 'steal', 0.0) / psutil.cpu_count(),
                'main_mb': main.memory_info().rss / 1e6,
                'workers_mb': sum(worker.memory_info().rss for worker in workers) / 1e6,
                'workers': len(workers),
                'open_files': main.num_fds(),
            }
        )
        if len(self.looks) % 10 == 0:
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Keep what was seen."""
        self._write(runner)

    def _write(self, runner: Runner) -> None:
        write_atomically(Path(runner.work_dir, LOOKS), json.dumps(self.looks))
