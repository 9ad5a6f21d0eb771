"""Monitoring the resources of a running training."""

import json
import time
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tvn_mmaction.utils.io import write_atomically

SAMPLE_STEPS = 20  # between two samples
SAMPLES = 'resources.json'


@HOOKS.register_module()
class ResourceMonitorHook(Hook):
    """Samples memory (MB), CPU time and open files of the training process and its data loaders every few steps.

    It also samples the time that a hypervisor gave to other machines (steal time), which slows everything down.
    """

    priority = 'LOWEST'

    def __init__(self):
        self.samples: list[dict[str, float]] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Take a sample if it is due."""
        import psutil  # an extra

        if runner.iter % SAMPLE_STEPS:
            return
        main = psutil.Process()
        workers = main.children()
        used = main.cpu_times()
        self.samples.append(
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
        if len(self.samples) % 10 == 0:
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the samples."""
        self._write(runner)

    def _write(self, runner: Runner) -> None:
        write_atomically(Path(runner.work_dir, SAMPLES), json.dumps(self.samples))
