"""Variable `decoder`: the transforms that read the videos of all pipelines, or their frame store."""

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

from ..datasets.frame_store_check import check_store
from ..datasets.manifest import FILE_NAME
from ..datasets.transforms.frame_store import StoreSettings, reads_flow
from ..datasets.transforms.standalone_pipeline import VIDEO_DECODERS
from ..utils.errors import UserError
from .loaders import all_datasets

DECODERS = {**VIDEO_DECODERS, 'FrameStore': 'lmdb'}  # by the prefix of Init and Decode, the module that they import


def use_decoder(config: Config) -> None:
    """Let the transforms of the variable `decoder` read all videos of a config.

    Args:
        config: Changed in place; without the variable it stays as it is.

    Raises:
        UserError: There is no such decoder, it is not installed, or it cannot read what the config needs.
    """
    decoder = config.get('decoder')
    if decoder is None:
        return
    if not find_spec(DECODERS[decoder]):
        others = [name for name, module in VIDEO_DECODERS.items() if find_spec(module)]
        raise UserError(
            f'decoder {decoder} is not installed. Use --cfg-options decoder={" or ".join(others)}, or install the '
            f'package {DECODERS[decoder]}.'
        )
    known = {name + step: (name, step) for name in DECODERS for step in ('Init', 'Decode')}
    for dataset in all_datasets(config):
        if decoder != 'FrameStore' and reads_flow(dataset.get('pipeline', [])):
            raise UserError(f'decoder is {decoder}, and {config.filename} sees optical flow. Leave decoder=FrameStore.')
        readers = [transform for transform in dataset.get('pipeline', []) if transform['type'] in known]
        for transform in readers:
            name, step = known[transform['type']]
            if name != decoder and 'FrameStore' in (name, decoder):
                transform.clear()  # of arguments that are about videos, or about a store
            transform['type'] = decoder + step
        if decoder == 'FrameStore' and readers:
            _use_frame_store(dataset, readers)


def _use_frame_store(dataset: Config, readers: list[Config]) -> None:
    """Check the frame store of a data set, and give its settings to the transforms that read it."""
    if not dataset.get('data_root'):
        raise UserError(
            f'decoder is FrameStore, and {dataset.type} has no data_root, next to whose manifest the store would lie. '
            'Use UCF50Dataset, or --cfg-options decoder=ExactVideo.'
        )
    if not Path(dataset.data_root, FILE_NAME).is_file():
        return  # a missing manifest is reported when the data set is built
    settings = asdict(check_store(dataset.data_root, dataset.pipeline))
    del settings['flow']  # the transforms have an argument of that name themselves
    for transform in (transform for transform in readers if transform['type'] == 'FrameStoreInit'):
        if transform.setdefault('store', settings) != settings:
            raise UserError(
                f'the config is for frames of {StoreSettings(**transform["store"])}, and the store in '
                f'{dataset.data_root} holds {StoreSettings(**settings)}. Rebuild it with '
                'tools/build_ucf50.py --frames and these numbers.'
            )
