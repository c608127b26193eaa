"""Packaging of synapse_lite. Tool settings stand in ruff.toml and mypy.ini."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "synapse_lite/__init__.py").read_text())
assert VERSION is not None

setup(
    name="synapse_lite",
    version=VERSION.group(1),
    description="A Matrix homeserver of several processes over one database",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["synapse_lite", "synapse_lite.*"]),
    package_data={"synapse_lite": ["**/*.sql", "**/*.j2", "**/*.json", "py.typed"]},
    python_requires=">=3.11",
    # Each has its reason in docs/decisions/0009-libraries.md. All have wheels: no compiler needed.
    install_requires=[
        "attrs>=23.2",
        "bcrypt>=4.1",
        "click>=8.1",
        "jinja2>=3.1",
        "msgspec>=0.18.6",
        "prometheus-client>=0.20",
        "pynacl>=1.5",
        "pyyaml>=6.0",
        "service-identity>=24.1",
        "treq>=23.11",
        "twisted[tls]>=24.3",
    ],
    extras_require={
        "postgres": ["psycopg2-binary>=2.9.9"],
        "test": [
            "canonicaljson>=2.0",
            "hypothesis>=6.100",
            "jsonschema>=4.21",
            "matrix-nio>=0.25",
            "mypy>=1.11",
            "mypy-zope>=1.0.5",
            "ruff>=0.6",
            "signedjson>=1.1.4",
            "types-jsonschema",
            "types-psycopg2",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["slctl = synapse_lite.app.slctl:main"]},
    classifiers=[
        "Framework :: Twisted",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Communications :: Chat",
    ],
)
