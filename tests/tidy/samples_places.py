"""Samples of hosts and machine paths. They are written with ' for a slash: this file is searched like any other."""

from __future__ import annotations

from tests.tidy.planted import Sample


def written(rule: str, what: str, **lines: str) -> Sample:
    """A file for each line, named after it."""
    return Sample(rule, what, {f"{name}.txt": text.replace("'", "/") for name, text in lines.items()})


SAMPLES: list[Sample] = [
    written(
        "hosts",
        "indexes in every kind of lock",
        mirror="\nmirror: https:''pypi.example.org'simple  # !\n",
        nested="url = http:''10.0.0.1:8080'root'pypi'+simple'..'simple'click'  # !\n",
        folder="see file:'''srv'wheels'simple  # !\n",
        storage="https:''files." + "pythonhosted.org'packages'x.whl  # !\n",
        default="index: pypi." + "org'simple  # !\n",
        option="click==8\n-" + "-index-url=x  # !\n",
        extra="  -" + "-extra-index-url x  # !\n",
        links="-" + "-find-links wheels  # !\n",
        node='{\n  "resolved"' + ": \"https:''registry.example.org'x.tgz\"  # !\n}",
    ),
    written(
        "hosts",
        "addresses that are none, options in a command",
        licence="https:''www.apache.org'licenses'\n",
        project="https:''pypi." + "org'project'stent-replay\n",
        words="https:''example.org'simplest'x and 'simple things\n",
        command="uv pip compile -" + "-no-emit-index-url x\nresolve(['-" + "-index-url'])\n",
        pip="tell pip: PIP_INDEX_URL\n",
        code='x = {"resolved": "yes"}\n',
    ),
    written(
        "paths",
        "folders of one machine",
        work="see 'work'main  # !\n",
        farm="\nfile:'''farm'x  # !\n",
        root="cache='root'.cache  # !\n",
        home="open(\"'home'anna'x\")  # !\n",
        mac="'Users'anna'x  # !\n",
        wheels="-f 'opt'wheels  # !\n",
        windows="C:" + "\\Users" + "\\anna  # !\n",
        two="'work'x\n".replace("\n", "  # !\n") + "fine\n'root'y  # !\n",
    ),
    written(
        "paths",
        "the ends of longer paths and other folders",
        address="https:''example.org'work'items and https:''example.org'home'page\n",
        relative=".'work'x ..'root'x ~'work'x a'root'b\n",
        variable="{base}'work'x $HOME'work'x\n",
        system="'usr'bin'env 'tmp'x 'etc'work 'opt'postgresql 'home'{user}\n",
        word="at home'work life, 'workers'x 'rooted'x\n",
    ),
]
