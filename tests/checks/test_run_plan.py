"""Lists of clips that the checks of a run share."""

from tests.small_experiment import write_config, write_data
from tvn_mmaction.checks.run_plan import RunPlan
from tvn_mmaction.config.loading import read_config
from tvn_mmaction.datasets.ucf50 import UCF50Dataset


def test_every_list_is_read_once(tmp_path, monkeypatch):
    loaded = []
    load_data_list = UCF50Dataset.load_data_list
    monkeypatch.setattr(UCF50Dataset, 'load_data_list', lambda self: loaded.append(self) or load_data_list(self))
    plan = RunPlan(read_config(write_config(tmp_path, write_data(tmp_path))))
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader') * 2:
        assert len(plan.dataset(loader)) == len(plan.clips(loader)) == 6
    assert plan.digest('val_dataloader') == plan.digest('test_dataloader') != plan.digest('train_dataloader')
    assert len(loaded) == 2
