"""Installs tvn_mmaction; `pip install -e .` brings everything that training needs from PyPI."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'tvn_mmaction/version.py').read_text()).group(1)

EXTRAS = {
    'deploy': ['nncf>=3', 'onnx>=1.18', 'onnxruntime>=1.22', 'onnxscript>=0.5', 'openvino>=2025.2', 'torch>=2.9'],
    'frames': ['lmdb>=1.4'],
    'fusion': ['scikit-learn>=1.5'],
    'ray': ['ray[tune]>=2.9'],
}
TEST = ['psutil>=5.9', 'pytest>=8', 'pytest-timeout>=2.3', 'pytest-xdist>=3.5', 'ruff>=0.15', 'selenium>=4.11']

setup(
    name='tvn_mmaction',
    version=VERSION,
    description='Tiny Video Networks and UCF50 for MMAction2: efficient action recognition on small data',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['tvn_mmaction', 'tvn_mmaction.*']),
    package_data={
        'tvn_mmaction.experiments.comparison': ['page.html.jinja', 'published_results.csv'],
        'tvn_mmaction.datasets.preparation': ['ucf50_inventory.csv'],
    },
    python_requires='>=3.10,<3.14',
    install_requires=[
        # Below 2.4, loading as data only refuses what a checkpoint's schedule holds; above 2.13 nothing was tested.
        'torch>=2.4,<2.14',
        'mmengine>=0.10.4,<0.11',
        'mmaction2>=1.2,<1.3',
        # mmaction2 1.2 refuses mmcv 2.2 and newer; mmcv-lite is mmcv without compiled operators.
        'mmcv-lite>=2.1,<2.2',
        'decord>=0.6; platform_system == "Windows" or platform_machine == "x86_64"',
        # Imported by mmaction2 and mmengine, declared by neither.
        'importlib_metadata',
        'setuptools<82',  # mmengine 0.10 imports pkg_resources, which setuptools 82 removed.
        'filelock',
        'jinja2',
        'matplotlib',
        'av>=17.1,<19',  # decodes all videos; 17.1 limits the threads that convert frames, 19 drops an argument
        'numpy',
        'opencv-python',
        'plotly>=6',
        'rich>=14.1',  # a drawing shows its progress inside a training's, which older releases refuse
        'safetensors>=0.4',  # any tool may be given such a file
        'scipy',
    ],
    extras_require={**EXTRAS, 'test': [*TEST, *(library for libraries in EXTRAS.values() for library in libraries)]},
)
