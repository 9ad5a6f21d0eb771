"""Data set and data loader that continue when a clip cannot be read, or crashes or hangs the worker that reads it.

Clips, their order and their random numbers do not depend on workers, interruptions or broken clips.
"""

import errno
import faulthandler
import os
import shutil
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property, partial
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.structures import BaseDataElement
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, get_worker_info

from ..utils.errors import UserError, first_line
from ..utils.random_state import seeded

NO_CLIP = -1
TIMED_OUT = 1  # exit code of a process that faulthandler ends
EXTERNAL_SIGNALS = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)  # not caused by the clip
DEATHS = 5  # of workers without a batch in between, after which no single clip is the cause
NO_SHARED_MEMORY = 'unable to allocate shared memory'  # in PyTorch's error


class SampleKey(NamedTuple):
    """Key of a sample: its random numbers follow from these four numbers alone, whichever process reads it."""

    seed: int
    epoch: int
    index: int
    repeat: int = 0  # how often the epoch has used the clip before


@DATA_SAMPLERS.register_module()
class RepeatedSampler(DefaultSampler):
    """Repeated augmentation (arXiv 1901.09335): samples each clip several times in a row, each differently augmented.

    An epoch has as many samples as with `DefaultSampler`, but of fewer clips: with two repeats, a batch of 16 samples
    has 8 clips. MMAction2's `RepeatAugDataset` reads with decord only.

    Args:
        dataset: The data set.
        repeats: Samples per clip; 1 is `DefaultSampler`.
        **kwargs: See `DefaultSampler`.

    Raises:
        ValueError: `repeats` is below 1.
    """

    def __init__(self, dataset: Any, repeats: int = 2, **kwargs: Any):
        if repeats < 1:
            raise ValueError(f'RepeatedSampler.repeats is {repeats}; it must be a whole number of at least 1')
        super().__init__(dataset, **kwargs)
        self.repeats = repeats

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of an epoch."""
        indices = list(super().__iter__())
        return iter([indices[place // self.repeats] for place in range(len(indices))])


@DATA_SAMPLERS.register_module()
class BalancedSampler(DefaultSampler):
    """Samples all classes equally often, in random order.

    An epoch has as many samples as with `DefaultSampler`, divided equally: of a class with fewer clips than its share
    each is repeated, differently augmented, and of a class with more a random part is left out until later epochs.

    Args:
        dataset: The data set, whose entries have a `label`.
        **kwargs: See `DefaultSampler`.
    """

    def __init__(self, dataset: Any, **kwargs: Any):
        super().__init__(dataset, **kwargs)
        self.members = [indices for _, indices in sorted(_indices_by_label(dataset).items())]

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of an epoch, which depend on seed and epoch alone."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)

        def shuffled(values: list[Any]) -> list[Any]:
            return [values[place] for place in torch.randperm(len(values), generator=generator).tolist()]

        share, more = divmod(self.total_size, len(self.members))
        indices = []
        for number, members in enumerate(shuffled(self.members)):  # the first ones get the remainder
            wanted = share + (number < more)
            rounds = [shuffled(members) for _ in range(-(-wanted // len(members)))]
            indices += [index for one in rounds for index in one][:wanted]
        return iter(shuffled(indices)[self.rank :: self.world_size])


class SeededBatchSampler(Sampler[list[SampleKey]]):
    """Batches of sample keys instead of indices, starting with any batch of an epoch.

    Args:
        batches: Chooses the indices; the epoch is that of its sampler, or the number of passes of an infinite sampler.
        clips: Number of clips in the data set.
        seed: Seed of the training.
    """

    def __init__(self, batches: BatchSampler, clips: int, seed: int):
        self.batches = batches
        self.clips = clips
        self.seed = seed
        self.first = 0  # batch to start with

    @property
    def sampler(self) -> Sampler:
        """The sampler of the indices, on which MMEngine sets the epoch."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch."""
        return self.batches.batch_size

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the batches of an epoch from `first` on."""
        drawn, before, counted_epoch = 0, Counter(), None
        for number, indices in enumerate(self.batches):
            epoch = getattr(self.sampler, 'epoch', drawn // self.clips)
            if epoch != counted_epoch:
                before, counted_epoch = Counter(), epoch
            draws = []
            for index in indices:
                draws.append(SampleKey(self.seed, epoch, index, before[index]))
                before[index] += 1
            if number >= self.first:
                yield draws
            drawn += len(indices)


class FaultTolerantDataset(Dataset):
    """Reads the clips of another data set, each with its own random numbers, and replaces those that cannot be read.

    In training, a clip is replaced by a random clip of its class; in testing, by the next clip with the label of the
    broken one, and the prediction must count as wrong. The metainfo of the sample then has `broken_clips`, the reasons
    by index.

    Args:
        dataset: A data set of MMAction2, or a wrapper around one.
        test_mode: Whether it is a test data set.
        time_limit_s: After which the worker that reads a clip is ended; see `FaultTolerantDataLoader`.
    """

    def __init__(self, dataset: BaseDataset, test_mode: bool, time_limit_s: float):
        self.dataset = dataset
        self.test_mode = test_mode
        self.time_limit_s = time_limit_s
        self.reasons: dict[int, str] = {}  # why clips cannot be read, found by this process
        self.reading: RawArray | None = None  # by worker of a data loader, the clip that it reads

    @property
    def metainfo(self) -> dict[str, Any]:
        """Return the metainfo of the data set."""
        return self.dataset.metainfo

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Return the entry of a clip."""
        return self.dataset.get_data_info(index)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        """Return the sample of a clip, or of the one that replaces it.

        Raises:
            UserError: No clip that could replace it can be read.
        """
        # Each candidate has its own random numbers, independent of the broken clips that this process knows of.
        for attempt, index in enumerate(self._candidates(key)):
            with seeded(*key[:3], attempt + (key.repeat << 32)):  # repeats do not change the first read
                sample = self._read(index)
            if sample is not None:
                break
        else:
            whose = 'no clip' if self.test_mode else 'no other clip of its class'
            raise UserError(
                f'{name_of_clip(self, key.index)} cannot be read ({self.reasons[key.index]}) and not be '
                f'replaced, because {whose} can. Check the videos with tools/build_ucf50.py.'
            )
        if index == key.index:
            return sample
        if self.test_mode:
            sample['data_samples'].set_gt_label(self.get_data_info(key.index)['label'])
        sample['data_samples'].set_metainfo({'broken_clips': {key.index: self.reasons[key.index]}})
        return sample

    def _read(self, index: int) -> dict[str, Any] | None:
        """Return the sample of a clip, or None if it cannot be read, and keep the reason."""
        if index in self.reasons:
            return None
        worker = get_worker_info()
        try:
            if worker:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C and needs this worker
                self.reading[worker.id] = index
                faulthandler.dump_traceback_later(self.time_limit_s, exit=True, file=_null_device())
            return self.dataset[index]
        except (UserError, MemoryError):
            raise
        except Exception as error:  # decoders raise many types for a broken video
            self.reasons[index] = f'{type(error).__name__}: {first_line(error)}'
            return None
        finally:
            if worker:
                faulthandler.cancel_dump_traceback_later()
                self.reading[worker.id] = NO_CLIP

    def _candidates(self, key: SampleKey) -> Iterator[int]:
        """Yield a clip, then those that may replace it."""
        yield key.index
        if self.test_mode:
            yield from (other % len(self) for other in range(key.index + 1, key.index + len(self)))
            return
        same = self._clips_by_label[self.get_data_info(key.index)['label']]
        yield from np.random.default_rng(key[:3]).permutation(same).tolist()

    @cached_property
    def _clips_by_label(self) -> dict[Any, list[int]]:
        """Clips of each label: listed once, as a large data set may have thousands of unreadable clips."""
        return _indices_by_label(self)


def _indices_by_label(dataset: Dataset) -> dict[Any, list[int]]:
    indices = defaultdict(list)
    for index in range(len(dataset)):
        indices[dataset.get_data_info(index)['label']].append(index)
    return indices


def name_of_clip(dataset: Dataset, index: int) -> str:
    """Return the class folder and the file of a clip, its own name, or its index if the data set has no files."""
    info = dataset.get_data_info(index)
    if 'name' in info:
        return info['name']
    file = info.get('filename')
    return '/'.join(Path(file).parts[-2:]) if file else f'clip {index}'


@cache
def _null_device() -> TextIO:
    return Path(os.devnull).open('w')


class FaultTolerantDataLoader(DataLoader):
    """A data loader of sample keys whose workers may die: the epoch continues with the next batch.

    A worker dies when a decoder crashes on a clip, and is ended when a clip exceeds the time limit; that clip counts as
    broken. Without workers (`num_workers=0`) both would end the training.

    PyTorch owns the workers, so the time limit runs inside of them; `preparation.process_pool` owns its processes.

    Args:
        loader: A loader of MMEngine, with its sampler, workers and collate function.
        dataset: The fault-tolerant data set of `loader`.
        seed: Seed of the training.

    Raises:
        UserError: While iterating: workers die repeatedly, or /dev/shm is full.
    """

    def __init__(self, loader: DataLoader, dataset: FaultTolerantDataset, seed: int):
        sampler: BatchSampler = loader.batch_sampler
        collate = partial(_collate_into_shared_memory, loader.collate_fn)
        super().__init__(
            dataset,
            batch_sampler=SeededBatchSampler(sampler, len(dataset), seed),
            num_workers=loader.num_workers,
            collate_fn=collate if loader.num_workers else loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
            generator=torch.Generator(),  # else PyTorch would advance the global generator
        )
        self.first_batch = 0  # of the next epoch; set after the steps that a resumed epoch has made
        dataset.reading = RawArray('q', [NO_CLIP] * max(loader.num_workers, 1))

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of an epoch."""
        due, self.first_batch = self.first_batch, 0
        deaths = 0
        while True:
            self.batch_sampler.first = due
            iterator = None
            try:
                iterator = super().__iter__()
                # PyTorch's own handler would raise anywhere in the main thread, perhaps in the middle of a step.
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for batch in iterator:
                    yield batch
                    due, deaths = due + 1, 0
                return
            except KeyboardInterrupt:  # also SIGTERM; a worker whose decoder hangs would not end, and be waited for
                for worker in getattr(iterator, '_workers', []):
                    worker.kill()
                raise
            except UserError as error:  # PyTorch wraps an error of a worker in its traceback
                raise UserError(str(error).rpartition('UserError: ')[2].strip()) from None
            except (RuntimeError, OSError) as error:
                if NO_SHARED_MEMORY in str(error) or getattr(error, 'errno', None) == errno.ENOSPC:
                    raise _no_shared_memory() from None
                dead = [worker for worker in getattr(iterator, '_workers', []) if not worker.is_alive()]
                if not dead:
                    raise
                deaths += 1
                for number, worker in enumerate(iterator._workers):
                    if worker in dead:
                        self._note(number, worker.exitcode, deaths)
            self._iterator = iterator = None  # ends the other workers

    def _note(self, number: int, exit_code: int, deaths: int) -> None:
        """Record the clip that a dead worker was reading, unless workers die repeatedly: then it is not the cause."""
        index, self.dataset.reading[number] = self.dataset.reading[number], NO_CLIP
        reading = 'between two clips' if index == NO_CLIP else f'reading {name_of_clip(self.dataset, index)}'
        if exit_code == TIMED_OUT:
            how = f'took longer than {self.dataset.time_limit_s:g} s'
        else:
            how = f'ended the process that read it ({_describe(exit_code)})'
        if deaths == DEATHS:
            raise UserError(
                f'the data loader processes ended {DEATHS} times without a batch, the last one with '
                f'{_describe(exit_code)}, {reading}. Check that the videos are accessible; if memory is short, use '
                'fewer workers, with --cfg-options train_dataloader.num_workers=1.'
            )
        if index != NO_CLIP and exit_code not in EXTERNAL_SIGNALS:
            self.dataset.reasons[index] = how


def _collate_into_shared_memory(collate: Callable[[list], Any], samples: list) -> Any:
    """Collate a batch in shared memory.

    PyTorch would move it there in a thread, whose errors are lost: the main process would wait for ever.
    """
    batch = collate(samples)
    _share(batch)
    return batch


def _share(part: Any) -> None:
    if isinstance(part, torch.Tensor):
        part.share_memory_()
    elif isinstance(part, BaseDataElement):
        _share(list(part.all_values()))
    elif isinstance(part, Mapping):
        _share(list(part.values()))
    elif isinstance(part, list | tuple):
        for each in part:
            _share(each)


def _no_shared_memory() -> UserError:
    free_mb = shutil.disk_usage('/dev/shm').free / 1e6
    return UserError(
        f'the data loader processes have no room in /dev/shm, where {free_mb:.3g} MB are free. Enlarge it (docker '
        'run --shm-size 8g), or use --cfg-options train_dataloader.num_workers=0 '
        'train_dataloader.persistent_workers=False, and the same for val_dataloader and test_dataloader'
    )


def _describe(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f'exit code {exit_code}'
