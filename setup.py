"""The wheel's layout: the folder `lib` is called `rgbt_toolbox`, and holds what lies beside it in a checkout.

Everything else about the package is said in pyproject.toml, but the licence, for old versions of `pip show`.
"""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NAME = "rgbt_toolbox"
#: Folder of the checkout that the package needs -> what of it. They become packages without Python files.
BESIDE = {
    "experiments": ["*/*.yaml"],
    "pretrained_models": ["README.md", "LICENSE_FEAR", "iimf_*.safetensors", "fear_*.safetensors"],
    "docs/demo_sequence": ["LICENSE", "*.md", "*.txt", "*/*"],
}


class Build(build_py):
    """Leaves out the local.py files, which are the user's own."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [found for found in modules if found[1] != "local"]


places = {NAME: "lib"} | {f"{NAME}.{folder.replace('/', '.')}": folder for folder in BESIDE}

setup(
    license="MIT",
    packages=[*places, *(f"{NAME}.{name}" for name in find_packages("lib"))],
    package_dir=places,
    package_data={
        f"{NAME}.datasets": ["splits/*.txt"],
        f"{NAME}.test.analysis": ["published.csv"],
        **{f"{NAME}.{folder.replace('/', '.')}": patterns for folder, patterns in BESIDE.items()},
    },
    cmdclass={"build_py": Build},
)
